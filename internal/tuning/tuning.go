// Package tuning holds the tunable settings of components: package config fills these structs,
// which have no defaults of their own, package node passes them on, and engine embeds them in its
// options. So an option is defined in one place.
package tuning

import (
	"net/netip"
	"time"
)

// Engine tunes the event loops and what they serve. Sizes are bytes.
type Engine struct {
	// Loops is the number of event loops, each with its own listeners and connections.
	Loops int
	// HighWatermark is how much one direction of a flow may hold before its sender is no longer
	// read.
	HighWatermark int
	// Backlog is the listen(2) backlog of each listening socket.
	Backlog int

	// MaxConnections bounds the connections of all loops together.
	MaxConnections int
	// MaxHandshakes bounds the handshakes in flight of all loops together; above, the oldest is
	// closed.
	MaxHandshakes int

	// HandshakeTimeout bounds a TLS handshake, from accept to Finished.
	HandshakeTimeout time.Duration
	// LookupTimeout bounds how long a handshake waits for a session from elsewhere.
	LookupTimeout time.Duration
	// LingerTimeout bounds how long a closing connection may take to send what is left.
	LingerTimeout time.Duration

	// FastOpen is the queue length of TCP_FASTOPEN; 0 leaves it off.
	FastOpen int
	// DeferAccept is TCP_DEFER_ACCEPT, in whole seconds; 0 leaves it off.
	DeferAccept time.Duration
	// CPUAffinity ties each loop to a core.
	CPUAffinity bool
}

// Requests tunes how HTTP requests are read, passed on and answered.
type Requests struct {
	// KeepAlive is how long a client's connection may wait for its next request; 0 closes it
	// after one.
	KeepAlive time.Duration
	// HeadersTimeout bounds the time from the first byte of a request, or accept, to the end of
	// its fields.
	HeadersTimeout time.Duration
	// BackendKeepAlive is how many idle connections each loop keeps to each backend.
	BackendKeepAlive int
	// BackendIdleTimeout is how long it keeps one.
	BackendIdleTimeout time.Duration
	// MaxBody bounds a request's content; 0 means no bound.
	MaxBody int64
	// ChunkedInput passes content of unknown length to uwsgi backends in its chunks.
	ChunkedInput bool
	// BodyBuffer is how much of it is held to learn its length otherwise.
	BodyBuffer int
	// Trusted are the clients whose Forwarded and X-Forwarded-* are believed.
	Trusted []netip.Prefix
	// ExportCert passes the client's certificate to uwsgi backends as HTTPS_CC, in PEM.
	ExportCert bool
}
