package engine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend/exchange"
	"reprise/backend/http2"
	"reprise/tlsconn"
)

// settings say what a listener does with connections, prepared for one loop. They are immutable
// once in use: a Change replaces them. A relayed connection keeps those it began with; a request
// uses the listener's when it begins.
type settings struct {
	Listener                   // its Address is the bound one
	tls      tlsconn.Server    // nil without TLS
	exchange *exchange.Options // nil without HTTP
	http2    *http2.Options    // the same

	http2Backend *http2.BackendOptions // the same
}

// prepareSettings makes the settings of a listener, for each loop.
func (e *Engine) prepareSettings(ln *Listener, o *Options) (made []*settings, err error) {
	for _, l := range e.loops {
		s := &settings{Listener: *ln}
		if ln.TLS != nil {
			if s.tls, err = l.newServer(ln.TLS); err != nil {
				return nil, err
			}
		}
		if ln.HTTP != nil {
			s.http2 = http2.DefaultOptions(&ln.HTTP.Limits)
			s.http2Backend = http2.DefaultBackendOptions(&ln.HTTP.Limits)
			s.exchange = ln.HTTP.exchangeOptions(o.Access != nil)
		}
		made = append(made, s)
	}
	return made, nil
}

// newServer makes a server that uses the loop's counters.
func (l *loop) newServer(tls func(now func() time.Time) (tlsconn.Server,
	error),
) (tlsconn.Server, error) {
	s, err := tls(l.clock)
	if err != nil {
		return nil, err
	}
	if !l.counts.CompareAndSwap(nil, &s) {
		s.Succeed(*l.counts.Load())
	}
	return s, nil
}

// replace gives ln other settings. It runs on the loop's goroutine.
func (ln *listener) replace(fresh *settings) {
	if ln.tls != nil {
		ln.tls.Close() // connections that it has made go on
	}
	ln.settings = fresh
}

// A bound is a listener with the sockets of all loops.
type bound struct {
	kind
	asked   string // its address as given to the engine
	address string // with the port that the kernel chose
	own     []*listener
	path    string // of a unix socket that this listener must remove
	// inherited says that another process has the sockets, and the path, until this one starts.
	inherited bool
}

// kind is the part of a listener that cannot change while its connections go on.
type kind struct {
	Network, Name string
	tls, http     bool
}

func kindOf(ln *Listener) kind { return kind{ln.Network, ln.Name, ln.TLS != nil, ln.HTTP != nil} }

// bind opens the sockets of a listener, one for each loop. Sockets opened before an error are in b.
// Addresses in leaving are the engine's own, about to be given up.
func (e *Engine) bind(ln Listener, made []*settings, leaving []string) (b *bound, err error) {
	var inherited [][]int
	if e.o.Inherit != nil {
		inherited = e.inherit(e.o.Inherit(ln.Network, ln.Address))
	}
	if inherited == nil && !slices.ContainsFunc(leaving,
		func(own string) bool { return overlap(own, ln.Address) }) {
		if err := inUse(ln.Network, ln.Address); err != nil {
			return nil, listenError(ln.Address, err)
		}
	}
	b = &bound{kind: kindOf(&ln), asked: ln.Address}
	for i, l := range e.loops {
		var fd int
		var extra []int
		switch {
		case inherited != nil && len(inherited[i]) > 0:
			fd, extra = inherited[i][0], inherited[i][1:]
			b.inherited = true
			err = adopt(inherited[i], &e.o, ln.Network)
		case ln.Network == "unix" && i > 0:
			// A path cannot be bound twice: the loops share one queue.
			fd, err = unix.FcntlInt(uintptr(b.own[0].fd), unix.F_DUPFD_CLOEXEC, 0)
		case ln.Network == "unix":
			if err := removeStale(ln.Address); err != nil {
				return b, listenError(ln.Address, err)
			}
			b.path = ln.Address
			fallthrough
		default:
			fd, err = listen(&e.o, ln.Network, ln.Address)
		}
		if err != nil {
			return b, listenError(ln.Address, err)
		}
		ln.Address = boundAddress(fd, ln.Address) // the other loops get the same port
		s := made[i]
		s.Address = ln.Address
		b.own = append(b.own, &listener{
			settings: s, loop: l, fd: fd, extra: extra,
			port: portOf(ln.Address),
		})
	}
	b.address = ln.Address
	return b, nil
}

// overlap reports whether two processes cannot both listen on two TCP addresses.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && portA != "0" &&
		(hostA == hostB || anyHost(hostA) || anyHost(hostB))
}

func anyHost(host string) bool { return strings.Trim(host, "0.:") == "" }

// removePath removes the path of a unix socket.
func (b *bound) removePath() {
	if b.path != "" {
		_ = os.Remove(b.path)
	}
}

// listenError adds advice to the error.
func listenError(address string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		advice = ": choose another address or stop what listens there"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		advice = ": no interface has this address; :PORT listens on all"
	case errors.Is(err, unix.EACCES):
		advice = ": ports below 1024 need CAP_NET_BIND_SERVICE"
	}
	return fmt.Errorf("cannot listen on %s: %w%s", address, err, advice)
}
