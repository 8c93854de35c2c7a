// Command plain is the simplest TLS-terminating proxy in Go: a goroutine for each connection and
// direction. The benchmarks have it beside Reprise to show the engine's effect, separate from
// crypto/tls's.
package main

import (
	"crypto/tls"
	"flag"
	"io"
	"log"
	"net"
	"runtime"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8443", "`address` to serve")
	backend := flag.String("backend", "127.0.0.1:9000", "`address` to relay to")
	cert := flag.String("cert", "cert.pem", "certificate `file`")
	key := flag.String("key", "key.pem", "private key `file`")
	workers := flag.Int("workers", 1, "GOMAXPROCS")
	alpn := flag.String("alpn", "", "`protocol` to negotiate, none if empty")
	flag.Parse()
	runtime.GOMAXPROCS(*workers)
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if *alpn != "" {
		config.NextProtos = []string{*alpn}
	}
	log.Fatal(serve(*listen, *backend, config))
}

func serve(listen, backend string, config *tls.Config) error {
	listener, err := tls.Listen("tcp", listen, config)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go proxy(client.(*tls.Conn), backend)
	}
}

// proxy relays until both directions have ended.
func proxy(client *tls.Conn, address string) {
	defer client.Close()
	if client.Handshake() != nil {
		return
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	backend := conn.(*net.TCPConn)
	defer backend.Close()
	go func() {
		_, _ = io.Copy(backend, client)
		_ = backend.CloseWrite()
	}()
	_, _ = io.Copy(client, backend)
	_ = client.CloseWrite()
}
