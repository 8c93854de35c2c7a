package accesslog

import (
	"net/netip"
	"time"
)

// Entry is one HTTP request, or one relayed connection. Fields that do not apply are zero. Texts
// may be raw input of a client.
type Entry struct {
	Time     time.Time // when it started; Combined shows it in its own zone
	Client   netip.AddrPort
	Listener string
	Router   string

	TLSVersion string // empty without TLS
	Cipher     string
	ServerName string
	ALPN       string
	// where the session came from: local, pushed, pulled, store; empty after a full handshake
	Resumed    string
	Outcome    string // the outcome for the session that the client offered, if any
	ClientCert string // the subject's common name

	Method    []byte // empty for a connection
	Target    []byte
	Proto     []byte
	Host      []byte
	Referer   []byte
	UserAgent []byte
	Status    int

	Backend   string
	Retries   int
	KeptAlive bool   // the connection to the backend had been kept alive
	Cause     string // why it broke off; empty if it ended as it should
	Reason    string // why it was not served; empty if it was

	Request   int    // which of its connection's requests, from 1
	Stream    uint32 // of HTTP/2, 0 for other requests
	BytesIn   int64
	BytesOut  int64
	Handshake time.Duration
	Connect   time.Duration
	FirstByte time.Duration
	Total     time.Duration
}

// Failed reports whether an operator will look for this entry: a response 5xx, or an early end.
func (e *Entry) Failed() bool { return e.Status >= 500 || e.Cause != "" }
