package http1

// An Error is the reason why a message is refused. All errors of this package have this type and
// are made in advance: a flood of bad requests costs no allocation.
type Error struct {
	Status int    // for the client; a body's error has that of a request
	Reason string // a few words from a closed list, for counters and logs

	gateway *Error // the same error in a response
}

func (e *Error) Error() string { return e.Reason }

func refuse(status int, reason string) *Error {
	return &Error{Status: status, Reason: reason, gateway: &Error{Status: 502, Reason: reason}}
}

var (
	errEmptyLine      = refuse(400, "empty line instead of a message")
	errRequestLine    = refuse(400, "malformed request line")
	errMethod         = refuse(400, "malformed method")
	errTarget         = refuse(400, "malformed request target")
	errVersion        = refuse(400, "malformed version")
	errLineEnd        = refuse(400, "line does not end in CR LF")
	errFieldName      = refuse(400, "malformed field name")
	errFieldValue     = refuse(400, "control character in a field")
	errFolding        = refuse(400, "folded field")
	errNoHost         = refuse(400, "no Host")
	errManyHosts      = refuse(400, "several Host fields")
	errHost           = refuse(400, "malformed Host")
	errOtherHost      = refuse(400, "target and Host name different hosts")
	errLength         = refuse(400, "malformed Content-Length")
	errManyLengths    = refuse(400, "several Content-Length fields")
	errCoding         = refuse(400, "transfer coding does not end in chunked")
	errManyCodings    = refuse(400, "several Transfer-Encoding fields")
	errTwoFramings    = refuse(400, "Transfer-Encoding and Content-Length")
	errOldCoding      = refuse(400, "Transfer-Encoding in HTTP/1.0")
	errOptions        = refuse(400, "too many connection options")
	errChunkSize      = refuse(400, "malformed chunk size")
	errChunkExtension = refuse(400, "malformed or long chunk extension")
	errChunkEnd       = refuse(400, "chunk data does not end in CR LF")
	errTrailer        = refuse(400, "malformed trailer")
	errTruncated      = refuse(400, "message ends too early")
	errTargetLen      = refuse(414, "long request target")
	errExpectation    = refuse(417, "unknown expectation")
	errHeadLen        = refuse(431, "long head")
	errFieldLen       = refuse(431, "too many fields")
	errTrailerLen     = refuse(431, "long trailer")
	errConnect        = refuse(501, "CONNECT") // a 405 would have to list what is allowed instead
	errMethodLen      = refuse(501, "long method")
	errUnknownCoding  = refuse(501, "unknown transfer coding")
	errUnknownVersion = refuse(505, "unknown version")

	errStatusLine = refuse(502, "malformed status line")
	errStatus     = refuse(502, "status out of range")
	errSwitch     = refuse(502, "101 without Upgrade")
)
