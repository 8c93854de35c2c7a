package exchange

import (
	"net/netip"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

// Options describe how the requests of a listener are served. They are immutable once used; loops
// share them.
type Options struct {
	Limits  http1.Limits
	MaxBody int64 // of a request; 0: no limit
	// of a chunked one held for a uwsgi backend, which must know its length
	BodyBuffer   int
	ChunkedInput bool // pass a chunked body on as it is instead
	RedirectPort int  // answer everything with a redirect to https on this port; 0: serve
	KeepAlive    bool // a client's HTTP/1 connection serves several requests
	// until Reset, for the access log, even if the request will not be repeated
	KeepHead   bool
	ServerName string // uwsgi's variable of that name; "" takes the Host

	Challenges Challenges // answers to certificate authorities, nil for none
	// ServeChallenges serves paths that begin with ChallengePath where all else is redirected:
	// another ACME client answers them.
	ServeChallenges bool

	RequestRules, ResponseRules *http1.Rules // what becomes of fields
}

// ChallengePath is the prefix of paths by which a certificate authority checks who controls a name
// (RFC 8555, Section 8.3).
const ChallengePath = "/.well-known/acme-challenge/"

// Challenges has the answers to certificate authorities.
type Challenges interface {
	// KeyAuthorization returns the text that an authority expects for a token at a host, which may
	// have a port; "" if none does. It is called on loops and must not block.
	KeyAuthorization(host, token []byte) string
}

// A Client is what is known of the connection that carries the requests. It is made once for the
// connection and immutable; its exchanges share it.
type Client struct {
	Remote     netip.AddrPort // the zero value: unknown, or a unix socket
	ListenPort int            // where the client connected to; 0: unknown
	HTTP2      bool           // the client speaks it
	Trusted    bool           // a proxy whose Forwarded and X-Forwarded-* are believed
	TLS        *uwsgi.TLS     // nil without TLS
	Facts      *http1.Facts   // for the values of rules; nil without rules
	// Host stands in for the Host field that an HTTP/1.0 client may omit.
	Host string
}

// A Link is the connection to a backend that an exchange is given.
type Link struct {
	Protocol backend.Protocol
	Reused   bool // it has served earlier requests
	Keep     bool // it may serve further requests
}

// Scratch is memory that exchanges read and write with, so that a message costs no allocation. A
// loop has one for all its exchanges. The zero value is ready.
type Scratch struct {
	// Leaving ends HTTP/1 connections after the current response, or after the next one.
	Leaving bool
	// Draining also ends those that wait for a next request after at least one. It is set with
	// Leaving.
	Draining bool
	// Date is the Date line for responses that lack one; the owner renews it.
	Date []byte

	request  http1.Request
	response http1.Response
	parsed   *Exchange // whose head request holds
	forward  http1.Forward
	vars     uwsgi.Vars
	outgoing http1.Outgoing

	toBackend, toClient []byte // output of codecs and of the client's side
}
