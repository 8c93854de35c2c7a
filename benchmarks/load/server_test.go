package load_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"reprise/benchmarks/load"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// server is the server under test: HTTP or an echo, over crypto/tls or TCP.
type server struct {
	addr          string
	full, resumed atomic.Int64 // handshakes as the server saw them
	sunk          atomic.Int64 // bytes of uploads
}

var certificate = func() tls.Certificate {
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"localhost"}})
	if err != nil {
		panic(err)
	}
	return cert.TLS
}()

// listen opens a listener; ticketKey is shared by the nodes of a fleet, 0 is a random one.
func (s *server) listen(t *testing.T, useTLS bool, ticketKey byte) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if !useTLS {
		return l
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		VerifyConnection: func(state tls.ConnectionState) error {
			if state.DidResume {
				s.resumed.Add(1)
			} else {
				s.full.Add(1)
			}
			return nil
		},
	}
	if ticketKey != 0 {
		config.SetSessionTicketKeys([][32]byte{{ticketKey}})
	}
	return tls.NewListener(l, config)
}

// ServeHTTP answers /bytes/N with N bytes and takes uploads.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	s.sunk.Add(n)
	if length, ok := strings.CutPrefix(r.URL.Path, "/bytes/"); ok {
		w.Header().Set("Content-Length", length)
		n, _ := strconv.ParseInt(length, 10, 64)
		_, _ = io.CopyN(w, zeros{}, n)
		return
	}
	_, _ = io.WriteString(w, "hello")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func serveHTTP(t *testing.T, useTLS bool, ticketKey byte) *server {
	t.Helper()
	s := new(server)
	l := s.listen(t, useTLS, ticketKey)
	h := &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Serve(l)
	}()
	t.Cleanup(func() {
		h.Close()
		<-done
	})
	return s
}

// serve lets handle have each connection.
func serve(t *testing.T, useTLS bool, handle nettest.Handler) *server {
	t.Helper()
	s := new(server)
	l := s.listen(t, useTLS, 0)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return s
}

// echo returns its input.
func echo(conn net.Conn) { _, _ = io.Copy(conn, conn) }

// answer answers each request of HTTP with the same bytes.
func answer(response string) nettest.Handler {
	return func(conn net.Conn) {
		buf := make([]byte, 4096)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			if _, err := io.WriteString(conn, response); err != nil || strings.Contains(response, "truncated") {
				return
			}
		}
	}
}

// options are those of a client of s that speaks HTTP over TLS.
func (s *server) options(mode load.Mode) load.Options {
	return load.Options{Addrs: []string{s.addr}, Mode: mode, TLS: true, HTTP: true}
}
