package harness

import (
	"net"
	"net/http"
	"testing"
)

// ServeH2C runs Go's own server, by HTTP/2 without TLS only, until the test ends.
func ServeH2C(t *testing.T, listener net.Listener, handle http.HandlerFunc) {
	t.Helper()
	s := &http.Server{Handler: handle, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(listener)
	t.Cleanup(func() { s.Close() })
}

// ListenAt listens at a fixed address that the test needs.
func ListenAt(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
