package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"reprise/backend"
	"reprise/backend/exchange"
	"reprise/backend/http1"
	"reprise/backend/tlsclient"
	"reprise/internal/clientlimit"
	"reprise/internal/tuning"
	"reprise/tlsconn"
)

// Options tune an engine. There are no defaults here: package config has them.
type Options struct {
	tuning.Engine
	ReadSize     int // the most that one read takes; a loop has one such buffer
	TurnBudget   int // bytes a flow may move before the others have their turn
	AcceptBudget int // connections taken per wake-up

	// SpareP says that Go's scheduler has a P more than loops and key workers keep.
	SpareP bool

	// SocketFile sets owner and mode of a unix socket's file; nil leaves them.
	SocketFile func(path string) error

	// Inherit returns the listening sockets that a predecessor has left for an address, which the
	// engine owns from then on; nil if there is no predecessor.
	Inherit func(network, address string) []int
	// Workers run the slow parts of handshakes with backends; nil runs them on the loops.
	Workers tlsclient.Workers

	// Clients counts what each client uses on all loops together, for Limits; nil counts nothing.
	Clients *clientlimit.Table
	Limits  *clientlimit.Policy // nil limits nothing

	// Access is called with each HTTP request and each relayed connection when it has ended; nil if
	// there is no access log. It is called on loops, so it must not block, and its argument is
	// valid until it returns.
	Access func(*Access)
}

// lowWatermark is how much may be pending in one direction when its source is read again. A quarter
// keeps the sender busy while the rest drains, without a read for every write.
func (o *Options) lowWatermark() int { return o.HighWatermark / 4 }

// Per loop, rounded up.
func (o *Options) maxConnections() int { return (o.MaxConnections + o.Loops - 1) / o.Loops }
func (o *Options) maxHandshakes() int  { return (o.MaxHandshakes + o.Loops - 1) / o.Loops }

func (o *Options) limits() *clientlimit.Policy {
	if o.Limits == nil {
		return new(clientlimit.Policy)
	}
	return o.Limits
}

// A Listener is an address that accepts connections, with how they are handled and where they go.
type Listener struct {
	Name             string // of its kind, for the access log: "sslrouter"
	Network, Address string // "tcp" with a numeric host, or "unix" with a path
	// TLS makes the server of one loop from that loop's clock; nil accepts connections without TLS.
	TLS func(now func() time.Time) (tlsconn.Server, error)
	// HTTP routes requests; nil relays bytes unchanged.
	HTTP *HTTP
	// Pools chooses backends: by the server name of TLS, and for HTTP by Host and path of each
	// request. It may be nil if HTTP answers everything by itself.
	Pools *backend.Router
	// Peek makes a Peeker, which finds the server name in the first bytes of a connection without
	// TLS here; nil to ignore it.
	Peek func() Peeker

	// sources that must send a PROXY header, which others may not; nil: no headers
	AcceptProxy []netip.Prefix
	IdleTimeout time.Duration // without a byte in either direction
}

// A Peeker finds the server name that a client asks for in its first bytes.
type Peeker interface {
	// Feed takes the next bytes, which it does not keep, and reports whether it knows enough.
	Feed(p []byte) (done bool)
	// ServerName is the name in all bytes fed; empty if there is none, or if this is not TLS.
	ServerName(all []byte) string
}

// HTTP says how requests are routed. It is immutable once in use.
type HTTP struct {
	RedirectPort int // answer everything with a redirect to https on this port; 0: serve
	tuning.Requests

	Limits     http1.Limits
	ServerName string // uwsgi's variable of that name; "" takes the Host
	// DefaultHost is the Host for HTTP/1.0 clients that send none, if they name no server in TLS
	// either.
	DefaultHost string

	Challenges exchange.Challenges // answers to certificate authorities, nil for none
	// ServeChallenges exempts paths with exchange.ChallengePath from RedirectPort.
	ServeChallenges bool

	RequestRules, ResponseRules *http1.Rules // what becomes of fields
}

// An Engine is a set of loops and their listeners.
type Engine struct {
	o       Options // of the start
	loops   []*loop
	running sync.WaitGroup

	failures failureLog

	mu    sync.Mutex
	bound []*bound // replaced as a whole by a Change
}

// New binds all addresses, so that errors in them are known before anything is served. Connections
// wait in the backlog until Start.
func New(o Options, listeners []Listener) (*Engine, error) {
	o.Limits = o.limits()
	e := &Engine{o: o, failures: failureLog{began: time.Now()}}
	for id := range o.Loops {
		l, err := newLoop(id, o)
		if l != nil {
			l.failures = &e.failures
			e.loops = append(e.loops, l)
		}
		if err != nil {
			e.free()
			return nil, fmt.Errorf("loop %d: %w", id, err)
		}
	}
	for _, ln := range listeners {
		if err := e.listen(ln); err != nil {
			e.free()
			return nil, err
		}
	}
	return e, nil
}

// listen binds a listener before the loops run.
func (e *Engine) listen(ln Listener) error {
	made, err := e.prepareSettings(&ln, &e.o)
	if err != nil {
		return err
	}
	b, err := e.bind(ln, made, nil)
	if b != nil {
		e.bound = append(e.bound, b) // which free closes
	}
	if err != nil {
		return err
	}
	for i, own := range b.own {
		l := e.loops[i]
		l.listeners = append(l.listeners, own)
		if ln.Pools != nil {
			for _, pool := range ln.Pools.Pools() {
				l.routeTo(pool)
			}
		}
		for _, fd := range own.fds() {
			if err := l.reactor.WatchInput(fd, own); err != nil {
				return listenError(ln.Address, err)
			}
		}
	}
	return nil
}

// Addresses returns the listeners' addresses, in order, with the port that the kernel chose for
// port 0.
func (e *Engine) Addresses() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	addresses := make([]string, len(e.bound))
	for i, b := range e.bound {
		addresses[i] = b.address
	}
	return addresses
}

// Renew gives a listener, by its index in New or the last Change, other certificates, keys and
// policies. Existing connections keep the old ones; new ones use the new. It may be called while
// the engine runs, but not between a Change's making and its Commit; an error changes nothing. When
// it returns the loops use the new ones, except a loop that has ended.
func (e *Engine) Renew(i int, tls func(now func() time.Time) (tlsconn.Server, error)) error {
	servers := make([]tlsconn.Server, len(e.loops))
	for j, l := range e.loops {
		var err error
		if servers[j], err = l.newServer(tls); err != nil {
			return err
		}
	}
	own := e.bound[i].own
	taken := make(chan struct{}, len(own))
	for j, own := range own {
		e.loops[j].reactor.Post(func(any) {
			fresh := *own.settings
			fresh.TLS, fresh.tls = tls, servers[j]
			own.replace(&fresh)
			taken <- struct{}{}
		}, nil)
	}
	late := time.After(time.Second)
	for range own {
		select {
		case <-taken:
		case <-late:
			return nil
		}
	}
	return nil
}

// Start runs the loops.
func (e *Engine) Start() {
	for _, b := range e.bound {
		if b.inherited && b.Network == "unix" {
			b.path = b.asked
		}
	}
	for _, l := range e.loops {
		e.running.Add(1)
		go func() {
			defer e.running.Done()
			l.run()
		}()
	}
}

// Leave keeps accepting, and asks clients to go elsewhere from then on.
func (e *Engine) Leave() {
	for _, l := range e.loops {
		l.reactor.Post(leaveLoop, l)
	}
}

// Drain stops accepting and returns when the last flow has ended or ctx is done.
func (e *Engine) Drain(ctx context.Context) error {
	for _, l := range e.loops {
		l.reactor.Post(drainLoop, l)
	}
	for _, l := range e.loops {
		select {
		case <-l.drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close ends all flows at once and frees everything, even before Start. Afterwards only Stats may
// be used.
func (e *Engine) Close() error {
	for _, l := range e.loops {
		l.reactor.Stop()
	}
	e.running.Wait()
	var errs []error
	for _, l := range e.loops {
		if l.failed != nil {
			errs = append(errs, fmt.Errorf("loop %d: %w", l.id, l.failed))
		}
	}
	e.free()
	return errors.Join(errs...)
}

func (e *Engine) free() {
	for _, l := range e.loops {
		l.free()
	}
	for _, b := range e.bound {
		b.removePath()
	}
}
