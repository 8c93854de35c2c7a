package tlsconn

import (
	"errors"

	"reprise/tlsconn/record"
	"reprise/tlsconn/wire"
)

// Alert descriptions (RFC 8446, Section 6; RFC 5246, Section 7.2).
const (
	alertCloseNotify           = 0
	alertUnexpectedMessage     = 10
	alertBadRecordMAC          = 20
	alertRecordOverflow        = 22
	alertHandshakeFailure      = 40
	alertBadCertificate        = 42
	alertUnsupportedCert       = 43
	alertCertificateRevoked    = 44
	alertCertificateExpired    = 45
	alertCertificateUnknown    = 46
	alertIllegalParameter      = 47
	alertUnknownCA             = 48
	alertDecodeError           = 50
	alertDecryptError          = 51
	alertProtocolVersion       = 70
	alertInternalError         = 80
	alertInappropriateFallback = 86
	alertUserCanceled          = 90
	alertNoRenegotiation       = 100
	alertMissingExtension      = 109
	alertUnsupportedExtension  = 110
	alertUnrecognizedName      = 112
	alertCertificateRequired   = 116
	alertNoApplicationProtocol = 120

	alertNone = 255 // the client gets no alert
)

const (
	alertWarning = 1
	alertFatal   = 2
)

// A cause is why a connection ends. This table is the one place that maps it to the client's alert
// and to the operator's Reason and text.
type cause uint8

const (
	ok cause = iota
	causeNotTLS
	causePlainHTTP
	causeTruncated
	causeAborted
	causePeerAlert
	causeOverflow
	causeBadMAC
	causeRecordVersion
	causeRecordType
	causeEmptyRecord
	causeUselessRecords
	causeDecode
	causeIllegal
	causeMissing
	causeUnsupportedExtension
	causeUnrecognizedName
	causeUnknownName
	causeUnexpected
	causeMessageLen
	causeExcessData
	causeNoVersion
	causeFallback
	causeNoSuite
	causeNoGroup
	causeNoScheme
	causeNoIssuer
	causeNoALPN
	causeSecondHello
	causeBadShare
	causeBadBinder
	causeMixedEMS
	causeRenegotiation
	causeRenegotiationInfo
	causeBadFinished
	causeBadSignature
	causeNoClientCert
	causeNoClientCert12
	causeClientCertChain
	causeClientCertDecode
	causeClientCertCA
	causeClientCertExpired
	causeClientCertKind
	causeRevoked
	causeNoCRL
	causeCRLEnded
	causeEarlyData
	causeKeyUpdates
	causeSpent
	causeSigning
	causeKeyUsed
	causeBusy
	causes
)

var causeTable = [causes]struct {
	alert  uint8
	reason Reason
	text   string
}{
	ok: {alertNone, ReasonOther, "no failure"},
	causeNotTLS: {
		alertUnexpectedMessage, ReasonNotTLS,
		"first record does not look like TLS",
	},
	causePlainHTTP:     {alertUnexpectedMessage, ReasonNotTLS, ""}, // ErrPlainHTTP
	causeTruncated:     {alertDecodeError, ReasonTruncated, "the byte stream ended early"},
	causeAborted:       {alertNone, ReasonAborted, "aborted"},
	causePeerAlert:     {alertNone, ReasonPeerAlert, "the client sent an alert"},
	causeOverflow:      {alertRecordOverflow, ReasonOversized, "record is too long"},
	causeBadMAC:        {alertBadRecordMAC, ReasonBadRecord, "record does not authenticate"},
	causeRecordVersion: {alertProtocolVersion, ReasonBadRecord, "record of another version"},
	causeRecordType: {
		alertUnexpectedMessage, ReasonUnexpected,
		"record of a type not expected now",
	},
	causeEmptyRecord: {alertUnexpectedMessage, ReasonUnexpected, "empty record"},
	causeUselessRecords: {
		alertUnexpectedMessage, ReasonTooMany,
		"too many records without content",
	},
	causeDecode: {alertDecodeError, ReasonDecode, "message does not parse"},
	causeIllegal: {
		alertIllegalParameter, ReasonIllegal,
		"message contradicts itself or what came before",
	},
	causeMissing: {
		alertMissingExtension, ReasonMissing,
		"mandatory extension is missing",
	},
	causeUnsupportedExtension: {
		alertUnsupportedExtension, ReasonIllegal,
		"extension that was not asked for",
	},
	causeUnrecognizedName: {
		alertUnrecognizedName, ReasonIllegal,
		"server name is not a host name",
	},
	causeUnknownName: {
		alertUnrecognizedName, ReasonUnknownName,
		"no certificate for the server name asked for",
	},
	causeUnexpected: {
		alertUnexpectedMessage, ReasonUnexpected,
		"message not expected now",
	},
	causeMessageLen: {
		alertIllegalParameter, ReasonOversized,
		"handshake message is too long",
	},
	causeExcessData: {
		alertUnexpectedMessage, ReasonUnexpected,
		"data between a message and the change of keys",
	},
	causeNoVersion: {
		alertProtocolVersion, ReasonNoVersion,
		"no protocol version in common",
	},
	causeFallback: {
		alertInappropriateFallback, ReasonFallback,
		"client falls back though it need not",
	},
	causeNoSuite: {alertHandshakeFailure, ReasonNoCipher, "no cipher suite in common"},
	causeNoGroup: {alertHandshakeFailure, ReasonNoCipher, "no group in common"},
	causeNoScheme: {
		alertHandshakeFailure, ReasonNoCipher,
		"no signature scheme in common",
	},
	causeNoIssuer: {
		alertHandshakeFailure, ReasonNoCipher,
		"no certificate of a CA that the client names",
	},
	causeNoALPN: {
		alertNoApplicationProtocol, ReasonNoALPN,
		"no application protocol in common",
	},
	causeSecondHello: {
		alertIllegalParameter, ReasonIllegal,
		"second ClientHello does not fit the first",
	},
	causeBadShare: {
		alertIllegalParameter, ReasonIllegal,
		"key share is not acceptable",
	},
	causeBadBinder: {
		alertDecryptError, ReasonBadBinder,
		"the client does not hold the session it offers",
	},
	causeMixedEMS: {
		alertHandshakeFailure, ReasonIllegal,
		"extended master secret is missing though the session has it",
	},
	causeRenegotiation: {
		alertNoRenegotiation, ReasonRenegotiation,
		"renegotiation is not supported",
	},
	causeRenegotiationInfo: {
		alertHandshakeFailure, ReasonRenegotiation,
		"renegotiation_info is not empty",
	},
	causeBadFinished: {
		alertDecryptError, ReasonBadFinished,
		"Finished does not match the handshake",
	},
	causeBadSignature: {
		alertDecryptError, ReasonClientCert,
		"client certificate: the signature does not verify",
	},
	causeNoClientCert: {
		alertCertificateRequired, ReasonClientCert,
		"client certificate: none given",
	},
	causeNoClientCert12: {
		alertHandshakeFailure, ReasonClientCert,
		"client certificate: none given",
	},
	causeClientCertChain: {
		alertBadCertificate, ReasonClientCert,
		"client certificate: the chain does not verify",
	},
	causeClientCertDecode: {
		alertDecodeError, ReasonClientCert,
		"client certificate: does not parse",
	},
	causeClientCertCA: {
		alertUnknownCA, ReasonClientCert,
		"client certificate: not signed by a configured CA",
	},
	causeClientCertExpired: {
		alertCertificateExpired, ReasonClientCert,
		"client certificate: expired or not yet valid",
	},
	causeClientCertKind: {
		alertUnsupportedCert, ReasonClientCert,
		"client certificate: kind of key or use not accepted",
	},
	causeRevoked:  {alertCertificateRevoked, ReasonRevoked, ""},    // ErrRevoked
	causeNoCRL:    {alertCertificateUnknown, ReasonRevocation, ""}, // ErrNoCRL
	causeCRLEnded: {alertCertificateUnknown, ReasonRevocation, ""}, // ErrCRLEnded
	causeEarlyData: {
		alertUnexpectedMessage, ReasonEarlyData,
		"more early data than is skipped",
	},
	causeKeyUpdates: {alertUnexpectedMessage, ReasonTooMany, "too many key updates"},
	causeSpent: {
		alertHandshakeFailure, ReasonSpent,
		"the session was used up by another connection meanwhile",
	},
	causeSigning: {alertInternalError, ReasonInternal, "signing failed"},
	causeBusy: {
		alertInternalError, ReasonOverloaded,
		"too many clients' certificates wait to be verified",
	},
	causeKeyUsed: {
		alertInternalError, ReasonInternal,
		"a key has reached its limit of use",
	},
}

// causeErrors are made once: an attacker's failures cost no allocation.
var causeErrors = func() (list [causes]*Error) {
	for i := range list {
		c := &causeTable[i]
		list[i] = &Error{Reason: c.reason, Err: errors.New("tlsconn: " + c.text)}
	}
	list[causePlainHTTP].Err = ErrPlainHTTP
	for err, why := range revocationCauses {
		if err != nil {
			list[why].Err = err
		}
	}
	return
}()

// wireCauses maps the faults of package wire.
var wireCauses = map[wire.Fault]cause{
	wire.Decode:       causeDecode,
	wire.Illegal:      causeIllegal,
	wire.Missing:      causeMissing,
	wire.Unsupported:  causeUnsupportedExtension,
	wire.Unrecognized: causeUnrecognizedName,
}

// recordCauses maps the faults of package record.
var recordCauses = map[record.Fault]cause{
	record.Overflow:   causeOverflow,
	record.BadMAC:     causeBadMAC,
	record.Unexpected: causeUnexpected,
}
