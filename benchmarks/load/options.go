package load

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mode says what one operation is. Its text form is its name in lower case.
type Mode int

const (
	// Full is a connection: a full handshake, Requests requests, a close.
	Full Mode = iota
	// Resumed is like Full, but each connection offers the newest session of its client.
	// Result.Resumed has how often the server accepted it. The full handshakes for the first
	// sessions are not measured.
	Resumed
	// KeepAlive is a request on a connection that stays open.
	KeepAlive
	// OpenLoop is like KeepAlive, at Rate whether or not the server keeps up.
	OpenLoop
	// Idle is a connection held open for Duration and checked at its end.
	Idle
	// SlowReader is a connection that asks for Bytes and reads Rate bytes a second for Duration.
	SlowReader
	// Download is a GET whose answer is exactly Bytes long.
	Download
	// Upload is a POST of Bytes.
	Upload
	// Accept is a TCP connection: connect, FIN, wait until the server has closed it too. Without
	// that wait the kernel's backlog would be measured.
	Accept
	// Storm is a full handshake and a close, without a request.
	Storm
)

var modeNames = []string{
	"full", "resumed", "keepalive", "openloop", "idle", "slowreader",
	"download", "upload", "accept", "storm",
}

func (m Mode) String() string { return nameOf(modeNames, int(m)) }

// MarshalText writes the name of m.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads a name that String gives.
func (m *Mode) UnmarshalText(text []byte) error {
	i, err := indexOf(modeNames, string(text))
	*m = Mode(i)
	return err
}

// Pick is how a client chooses among several addresses. Its text form is its name in lower case.
type Pick int

const (
	// RoundRobin makes each client take the addresses in turn: each of its connections goes to
	// another one than the last.
	RoundRobin Pick = iota
	// Random takes any address.
	Random
)

var pickNames = []string{"roundrobin", "random"}

func (p Pick) String() string { return nameOf(pickNames, int(p)) }

// MarshalText writes the name of p.
func (p Pick) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a name that String gives.
func (p *Pick) UnmarshalText(text []byte) error {
	i, err := indexOf(pickNames, string(text))
	*p = Pick(i)
	return err
}

// Options configure Run. The zero value of a field is its default where one is named.
type Options struct {
	Addrs []string // host:port; several mean resumption across nodes
	Pick  Pick
	Mode  Mode

	TLS        bool
	Version    uint16 // tls.VersionTLS12 or tls.VersionTLS13; 0 is TLS 1.3
	ServerName string // SNI and name to verify; "" is "localhost"
	// nil verifies no chain (the handshake's signature is always verified)
	Roots   *x509.CertPool
	Groups  []tls.CurveID // nil is crypto/tls's choice
	Ciphers []uint16      // TLS 1.2 only: crypto/tls fixes those of TLS 1.3
	ALPN    []string

	Certificate *tls.Certificate // sent by clients when requested; nil is none

	Conns int // concurrent connections; 0 is 1
	Ops   int // stop after so many operations; 0 is no such bound
	// stop after this long; 0 is no such bound. One of both must be set, except for Idle.
	Duration time.Duration
	Timeout  time.Duration // bound of each connect, handshake and response or transfer; 0 is 10 s

	// Rate is operations a second, all connections together, in OpenLoop, and in Full, Resumed,
	// Accept and Storm if it is not 0: these too are open loops then. For SlowReader it is bytes a
	// second of each connection.
	Rate float64

	// a request is a GET over HTTP/1.1; otherwise Bytes bytes that the backend echoes, none if
	// Bytes is 0
	HTTP  bool
	Path  string // of the requests; "" is "/"
	Bytes int64  // length of the body, which is verified; 0 is any length
	// per connection. Full, Resumed: 0 is 1; KeepAlive, OpenLoop, Download, Upload: 0 is no bound
	Requests int

	Meter   *Meter // of the server; nil measures none
	OnStart func() // called when all is prepared, just before the first measured operation
	OnEnd   func() // called after the last, before held connections are closed
}

// maxEcho bounds what is written before anything is read, so that an echo cannot block both ends.
const maxEcho = 16 << 10

// maxDuration bounds a run, and keeps its times far from overflowing.
const maxDuration = 24 * time.Hour

// maxRate keeps the interval between two operations well above a timer's cost.
const maxRate = 1e6

// complete returns o with defaults filled in, or an error.
func (o Options) complete() (Options, error) {
	if o.Version == 0 {
		o.Version = tls.VersionTLS13
	}
	if o.ServerName == "" {
		o.ServerName = "localhost"
	}
	if o.Conns == 0 {
		o.Conns = 1
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Path == "" {
		o.Path = "/"
	}
	if o.Requests == 0 && o.perConnection() {
		o.Requests = 1
	}
	for _, rule := range o.rules() {
		if rule.broken {
			return o, fmt.Errorf("load: %v: %s", o.Mode, rule.want)
		}
	}
	return o, nil
}

type rule struct {
	broken bool
	want   string
}

// rules says what options need and exclude. It is long because it is a table.
func (o Options) rules() []rule {
	var files unix.Rlimit
	// Go raises the soft limit to the hard one at start
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		files.Cur = math.MaxInt32
	}
	const spareFiles = 64
	held := o.Mode == Idle || o.Mode == SlowReader
	bulk := o.Mode == Download || o.Mode == Upload || o.Mode == SlowReader
	return []rule{
		{o.Mode < 0 || int(o.Mode) >= len(modeNames), "unknown mode"},
		{len(o.Addrs) == 0, "needs an address"},
		{
			o.Conns < 0 || uint64(o.Conns)+spareFiles > files.Cur,
			fmt.Sprintf("connections must fit into the limit of %d descriptors", files.Cur),
		},
		{
			o.Ops < 0 || o.Duration < 0 || o.Timeout < 0 || o.Bytes < 0 || o.Requests < 0,
			"nothing may be negative",
		},
		{
			o.Ops == 0 && o.Duration == 0 && o.Mode != Idle,
			"needs a bound: operations or a duration",
		},
		{o.Rate == 0 && (o.Mode == OpenLoop || o.Mode == SlowReader), "needs a rate"},
		{o.Duration > maxDuration, fmt.Sprintf("is bounded by %v", maxDuration)},
		// an interval must fit into a time.Duration
		{o.paced() && 1/o.Rate > maxDuration.Seconds(), "the rate is too low"},
		{
			o.paced() && o.Duration == 0 && float64(o.Ops)/o.Rate > maxDuration.Seconds(),
			fmt.Sprintf("is bounded by %v", maxDuration),
		},
		{o.Duration == 0 && o.Mode == SlowReader, "needs a duration"},
		{
			o.TLS && o.Version != tls.VersionTLS12 && o.Version != tls.VersionTLS13,
			"the version must be TLS 1.2 or 1.3",
		},
		{!o.TLS && (o.Mode == Full || o.Mode == Resumed || o.Mode == Storm), "needs TLS"},
		{o.TLS && o.Mode == Accept, "is without TLS"},
		{
			o.TLS && o.Mode == Resumed && o.Version == tls.VersionTLS13 && !o.hasRequest(),
			"in TLS 1.3 the ticket follows the handshake, so it needs a request: HTTP or bytes",
		},
		{
			!o.hasRequest() && (o.Mode == KeepAlive || o.Mode == OpenLoop),
			"needs a request: HTTP or bytes",
		},
		{bulk && (!o.HTTP || o.Bytes == 0), "needs HTTP and bytes"},
		{!o.HTTP && o.Bytes > maxEcho, fmt.Sprintf("an echo has at most %d bytes", maxEcho)},
		{
			strings.ContainsAny(o.Path+o.ServerName, " \r\n"),
			"neither path nor server name may contain blanks",
		},
		{
			!(o.Rate >= 0 && (o.Rate <= maxRate || held)),
			fmt.Sprintf("the rate must be between 0 and %g", maxRate),
		},
		{
			o.Mode == SlowReader && o.Rate*o.Duration.Seconds() > float64(o.Bytes)/2,
			"needs bytes for twice the duration at this rate, so that the server has always more",
		},
	}
}

// perConnection reports whether an operation is a connection.
func (o Options) perConnection() bool {
	switch o.Mode {
	case Full, Resumed, Storm, Accept:
		return true
	}
	return false
}

// paced reports whether operations come at a rate instead of one after another.
func (o Options) paced() bool { return o.Mode == OpenLoop || o.perConnection() && o.Rate > 0 }

// readSize is the size of a connection's read buffer.
func (o Options) readSize() int {
	if o.Mode == Download {
		return 64 << 10
	}
	return 4 << 10
}

func (o Options) hasRequest() bool {
	return o.Mode != Storm && o.Mode != Accept && (o.HTTP || o.Bytes > 0)
}

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprint(i)
	}
	return names[i]
}

func indexOf(names []string, name string) (int, error) {
	for i := range names {
		if names[i] == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%q is none of %s", name, strings.Join(names, ", "))
}
