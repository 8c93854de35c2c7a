package exchange

import (
	"net/netip"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

// Options say how the requests of a listener are served. They must not be changed once
// used; loops share them.
type Options struct {
	Limits  http1.Limits
	MaxBody int64 // of a request, 0 is without limit
	// of a chunked one that is held for a uwsgi backend, which must know its length
	BodyBuffer   int
	ChunkedInput bool // pass such a one on as it is instead
	RedirectPort int  // answer everything with a redirect to https on this port; 0 serves
	KeepAlive    bool // a client's HTTP/1 connection serves more than one request
	// until Reset, for the access log, also when the request cannot be needed again
	KeepHead   bool
	ServerName string // of uwsgi's variables; "" takes the Host

	Challenges Challenges // answers certificate authorities, nil for none
	// ServeChallenges serves what begins with ChallengePath where all else is redirected:
	// another client of theirs answers.
	ServeChallenges bool

	RequestRules, ResponseRules *http1.Rules // what becomes of fields
}

// ChallengePath begins the path by which a certificate authority looks who serves a name
// (RFC 8555, Section 8.3).
const ChallengePath = "/.well-known/acme-challenge/"

// Challenges has the texts by which authorities are answered.
type Challenges interface {
	// KeyAuthorization returns what an authority expects for a token at a host, which may
	// have a port; "" if none does. It is called on loops and must not block.
	KeyAuthorization(host, token []byte) string
}

// A Client is what is known of the connection that requests come on. It is made once for
// the connection and not changed after that; its exchanges share it.
type Client struct {
	Remote     netip.AddrPort // the zero value: unknown, or a unix socket
	ListenPort int            // where the client connected to; 0: unknown
	HTTP2      bool           // the client speaks it
	Trusted    bool           // a proxy whose Forwarded and X-Forwarded-* are believed
	TLS        *uwsgi.TLS     // nil without TLS
	Facts      *http1.Facts   // for the values of rules; nil without rules
	// Host is what a client of HTTP/1.0 that names no host is taken to mean.
	Host string
}

// A Link is the connection to a backend that an exchange is given.
type Link struct {
	Protocol backend.Protocol
	Reused   bool // it has served others
	Keep     bool // it may serve others afterwards
}

// Scratch is what exchanges read and write with, so that a message costs no allocation.
// A loop has one for all its exchanges. The zero value is ready.
type Scratch struct {
	// Leaving ends HTTP/1 connections with the response under way, or the next one.
	Leaving bool
	// Draining ends them without one, if there was any. It comes with Leaving.
	Draining bool
	// Date is the line of that name for responses that have none; the owner renews it.
	Date []byte

	request  http1.Request
	response http1.Response
	parsed   *Exchange // whose head request holds
	forward  http1.Forward
	vars     uwsgi.Vars
	outgoing http1.Outgoing

	toBackend, toClient []byte // what codecs and fronts write
}
