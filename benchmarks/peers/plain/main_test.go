package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"reprise/internal/testpki"
)

// TestProxyRelaysUntilBothSidesHaveEnded has a backend that answers only after its client's end.
func TestProxyRelaysUntilBothSidesHaveEnded(t *testing.T) {
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	go func() {
		conn, err := backend.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		received, _ := io.ReadAll(conn)
		_, _ = conn.Write(bytes.ToUpper(received))
	}()
	near, far := net.Pipe()
	go proxy(tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert.TLS}}),
		backend.Addr().String())
	client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(client, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "HELLO" {
		t.Errorf("got %q, %v, want HELLO", got, err)
	}
}
