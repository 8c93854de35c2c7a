package stats

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds on the cost of the admin server's clients.
const (
	maxAdminConns     = 64
	maxAdminHeader    = 16 << 10 // bytes
	maxScrapes        = 4        // at once; others get 503
	adminReadTimeout  = 10 * time.Second
	adminWriteTimeout = time.Minute // a CPU profile takes 30 s by default
	adminIdleTimeout  = 30 * time.Second
)

// AdminOptions tune an AdminServer. The zero value serves /stats, /metrics, /healthz and /readyz.
// /healthz answers 200 as long as the process lives.
type AdminOptions struct {
	// Ready reports whether the node wants traffic. /readyz answers 200 while it returns nil, else
	// 503 with the error's text ("draining"). nil = always ready. Called from many goroutines.
	Ready func(*http.Request) error

	// Pprof adds /debug/pprof/. Profiles show memory and cost CPU time: only for clients that may
	// see and do everything here anyway.
	Pprof bool

	Start Start

	// Handlers adds more, by patterns of http.ServeMux, such as "GET /pools", for all clients that
	// can reach the server.
	Handlers map[string]http.Handler

	// Control adds handlers that change something or show clients' data, such as "POST /drain". On
	// a unix socket, whose file's mode says who may connect, they are for all clients; by TCP for
	// those that Access lets in. Requests that a browser sends on behalf of another site never
	// reach a handler that changes something.
	Control map[string]http.Handler

	// Access knows the token of clients by TCP. nil = there is none.
	Access *Access

	// Hosts are further names of the server, besides addresses, localhost and the host that it
	// listens on: see hosts. In lower case.
	Hosts []string
}

// AdminServer is the HTTP server for operators and their monitoring. It speaks no TLS: it belongs
// on loopback, a unix socket or a private network. Every client can see what is not Control.
type AdminServer struct {
	http     http.Server
	listener *boundedListener
	served   chan struct{} // closed when the accepting goroutine has ended
}

// ListenAdmin starts a server on address, which is written and treated as in
// ListenJSON. Errors are lines for an operator. Shutdown ends it.
func ListenAdmin(address string, r *Registry, o AdminOptions) (*AdminServer, error) {
	l, err := listen("admin", address, maxAdminConns, &o.Start)
	if err != nil {
		return nil, err
	}
	names, remote := hostsOf(address, o.Hosts), !strings.Contains(address, "/")
	s := &AdminServer{
		http: http.Server{
			Handler: names.only(http.NewCrossOriginProtection().Handler(adminMux(r, o,
				remote))),
			ReadHeaderTimeout: adminReadTimeout,
			ReadTimeout:       adminReadTimeout,
			WriteTimeout:      adminWriteTimeout,
			IdleTimeout:       adminIdleTimeout,
			MaxHeaderBytes:    maxAdminHeader,

			DisableGeneralOptionsHandler: true, // it would answer for any Host
		},
		listener: l,
		served:   make(chan struct{}),
	}
	go func() {
		defer close(s.served)
		l.await(&o.Start)
		s.http.Serve(l) // ends by Shutdown only: it retries what can be retried
	}()
	return s, nil
}

// Addr returns the address that the server listens on, with the port it got for port 0.
func (s *AdminServer) Addr() net.Addr { return s.listener.Addr() }

// Socket returns a copy of the listening socket, for a successor.
func (s *AdminServer) Socket() (fd int, err error) { return copyOf(s.listener) }

// LeavePath keeps the path of a unix socket at Shutdown, for a successor.
func (s *AdminServer) LeavePath() { s.listener.ownPath(false) }

// Shutdown stops accepting and waits for the requests being served, until ctx ends: then it closes
// their connections and returns ctx's error.
func (s *AdminServer) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.served
	return err
}

// adminMux routes to all handlers; remote says that clients need a token for Control.
func adminMux(r *Registry, o AdminOptions, remote bool) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", servePage)
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(r.document())
	})
	mux.Handle("GET /metrics", metricsHandler(r))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter,
		_ *http.Request,
	) {
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if o.Ready != nil {
			if err := o.Ready(r); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		w.Write([]byte("ok\n"))
	})
	if o.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	for pattern, handler := range o.Handlers {
		mux.Handle(pattern, handler)
	}
	for pattern, handler := range o.Control {
		if remote {
			handler = o.Access.guard(handler)
		}
		mux.Handle(pattern, handler)
	}
	return mux
}

// metricsHandler serves the registry's metrics and those of the Go runtime and the process, from a
// registry of their own, not Prometheus' global one, which any imported package may write to.
func metricsHandler(r *Registry) http.Handler {
	p := prometheus.NewRegistry()
	p.MustRegister(
		collector{r},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(p, promhttp.HandlerOpts{
		// one bad object must not hide the others,
		ErrorHandling: promhttp.ContinueOnError,
		// but counts in promhttp_metric_handler_errors_total
		Registry:            p,
		MaxRequestsInFlight: maxScrapes,
	})
}
