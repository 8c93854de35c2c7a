package tlsconn

import "crypto/x509"

// State says what a connection waits for.
type State uint8

const (
	// ExpectHandshakeBytes: the handshake needs more from the client.
	ExpectHandshakeBytes State = iota
	// AwaitSession: a look-up outside this process is under way; its answer
	// arrives by the Waker, or the caller ends the wait with GiveUp.
	AwaitSession
	// AwaitAdmission: the handshake will be a full one, and the Admitter makes it wait; Resume asks
	// again.
	AwaitAdmission
	// AwaitSignature: a key worker signs; the answer arrives by the Waker.
	AwaitSignature
	// AwaitVerify: a key worker verifies the client's certificates; the answer
	// arrives by the Waker.
	AwaitVerify
	// Connected: the handshake is complete, data flow both ways.
	Connected
	// PeerClosed: the client sent close_notify; data may still flow out.
	PeerClosed
	// Failed: Err says why; what the last call appended holds the alert.
	Failed
)

var stateNames = [...]string{
	"expect handshake bytes", "await session", "await admission", "await signature",
	"await verification", "connected", "peer closed", "failed",
}

func (s State) String() string { return stateNames[s] }

// Handshaking reports whether the handshake is still under way.
func (s State) Handshaking() bool { return s < Connected }

// Parked reports whether the handshake waits for something other than bytes.
func (s State) Parked() bool { return s > ExpectHandshakeBytes && s < Connected }

// A Waker tells the loop that a parked handshake can continue. Wake may be called from any
// goroutine, more than once, and must cause Conn.Resume to be called on the loop.
type Waker interface{ Wake() }

// An Admitter is a Waker that decides when full handshakes are made: they cost a key exchange and a
// signature, resumptions neither.
type Admitter interface {
	// Admit is called when no session has been found, before anything expensive is done; slow says
	// that the signature is an RSA key's. If it returns false, the handshake waits in
	// AwaitAdmission, and each Resume asks again. Once it has returned true it must not return
	// false.
	Admit(slow bool) bool
}

// A Server makes the connections of one listener on one loop. It and they
// belong to the loop's goroutine; only its Counts may be read from elsewhere.
type Server interface {
	// NewConn starts a connection that waits for a ClientHello. The waker is called for a parked
	// handshake, and may be called once more after an Abort.
	NewConn(waker Waker) Conn
	// ClientPolicies returns the current client policies by name. An existing connection may have
	// met another one.
	ClientPolicies() *ClientPolicies
	// Counts returns the server's counters.
	Counts() *Counts
	// Succeed makes the server continue the counters of old, which it replaces. It must be called
	// before it has connections, on their goroutine.
	Succeed(old Server)
	// Close releases what the server keeps for later handshakes. Its connections must have been
	// aborted or be past their handshake.
	Close()
}

// A Conn is one server-side TLS connection. It belongs to the goroutine of its
// Server. Every method that can produce ciphertext appends it to out and
// returns the extended slice.
type Conn interface {
	// State returns what the connection waits for.
	State() State
	// Err returns why the connection failed, an *Error; nil if it has not.
	Err() error
	// Info describes the connection; it is complete once Connected.
	Info() *Info
	// ClientCertificate returns the certificate by which the client was
	// verified, in this handshake or in the one that made the session; nil if
	// it has none. It may be shared with other connections.
	ClientCertificate() *x509.Certificate

	// Feed takes ciphertext that arrived. While handshaking it goes as far as the input allows.
	// Once Connected the caller must call Read until it returns 0 before it reuses in, which is
	// borrowed until then.
	Feed(out, in []byte) []byte
	// Resume continues a parked handshake after its Waker was called. A needless call is harmless.
	Resume(out []byte) []byte
	// GiveUp ends a session look-up that took too long: the handshake continues as a full one.
	GiveUp(out []byte) []byte
	// Read decrypts into p and returns how many bytes of plaintext it wrote. 0
	// means that more ciphertext is needed or that the State has changed.
	Read(out, p []byte) (int, []byte)
	// Write encrypts p.
	Write(out, p []byte) []byte
	// CloseNotify tells the client that no more data will come out (RFC 8446,
	// Section 6.1). Data may still come in. Only the first call has an effect.
	CloseNotify(out []byte) []byte
	// EOF reports that the client has ended its byte stream. Without a close_notify before it that
	// is a failure with ReasonTruncated: an attacker on the path may have cut the stream.
	EOF(out []byte) []byte
	// ExportKeyingMaterial returns n bytes that only the two ends of the connection can derive (RFC
	// 5705; RFC 8446, Section 7.5). In TLS 1.2 a nil context differs from an empty one. It is an
	// error before Connected, without Config.Exporters, in TLS 1.2 without extended master secret,
	// and for arguments that CheckExport refuses.
	ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error)
	// Rest tells an idle connection to drop what it can make again, such as cipher states. It may
	// be called at any time.
	Rest()
	// Abort ends the connection silently, releasing a parked handshake. It must be called for every
	// Conn that has not failed; calling it twice is harmless.
	Abort()
}
