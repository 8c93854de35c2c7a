package tlsconn

import "errors"

// Reason is why a connection failed, from a closed set for counters.
type Reason uint8

const (
	ReasonOther Reason = iota // none of those below
	// the first bytes are not a TLS record: plain HTTP, garbage, SSLv2
	ReasonNotTLS
	// the byte stream ended without close_notify or in the handshake
	ReasonTruncated
	// a record or message larger than the protocol or this server allows
	ReasonOversized
	ReasonBadRecord     // a record that does not authenticate or parse
	ReasonNoVersion     // no protocol version in common
	ReasonNoCipher      // no cipher suite, group or signature algorithm in common
	ReasonNoALPN        // no application protocol in common
	ReasonClientCert    // client certificate missing or not acceptable
	ReasonBadBinder     // the client does not hold the session it offered
	ReasonEarlyData     // early data that cannot be skipped
	ReasonPeerAlert     // the client sent a fatal alert
	ReasonUnexpected    // a message out of order
	ReasonRenegotiation // renegotiation, which is off
	ReasonDecode        // a message that does not parse
	// a message that contradicts itself, the standard or what came before
	ReasonIllegal
	ReasonMissing // a mandatory extension is missing
	// a client that falls back to an older version though it need not
	ReasonFallback
	ReasonBadFinished // a Finished that does not match the handshake
	ReasonTooMany     // key updates, warnings or empty records without end
	ReasonOverloaded  // more slow work than key workers can do
	ReasonInternal    // our own fault: signing failed
	// single use: another handshake has used the session meanwhile
	ReasonSpent
	ReasonRevoked // client certificate revoked
	// there is no valid revocation list for the client certificate
	ReasonRevocation
	ReasonUnknownName // a server name, or none, for which there is no certificate
	ReasonAborted     // ended by the caller: time-out, shutdown
	reasons
)

var reasonNames = [reasons]string{
	"other", "not_tls", "truncated", "oversized_record", "bad_record", "no_common_version",
	"no_common_cipher",
	"no_common_alpn", "client_certificate", "bad_binder", "early_data", "peer_alert",
	"unexpected_message",
	"renegotiation", "decode_error", "illegal_parameter", "missing_extension",
	"inappropriate_fallback",
	"bad_finished", "too_many_messages", "overloaded", "internal", "session_spent",
	"client_certificate_revoked", "no_revocation_list", "unknown_name", "aborted",
}

// Names implements metric.Key.
func (Reason) Names() []string { return reasonNames[:] }

func (r Reason) String() string { return reasonNames[r] }

// Error is why a connection failed. The first one sticks.
type Error struct {
	Reason Reason
	Err    error // the engine's own text
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ErrPlainHTTP is the error, with ReasonNotTLS, of a connection on which a client has begun an HTTP
// request instead.
var ErrPlainHTTP = errors.New("tlsconn: an HTTP request without TLS")

// LooksLikeHTTP reports whether the first bytes of a connection, at least five, begin an HTTP
// request: with a method, which is a word in capitals (RFC 9110, Section 9.1). No TLS record begins
// like that.
func LooksLikeHTTP(b []byte) bool {
	capital := func(c byte) bool { return 'A' <= c && c <= 'Z' }
	return capital(b[0]) && capital(b[1]) && capital(b[2]) && (b[3] == ' ' || capital(b[3]))
}

// ErrAborted is the error of a connection that its caller has aborted.
var ErrAborted = errors.New("tlsconn: aborted")
