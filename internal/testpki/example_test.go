package testpki_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"

	"reprise/internal/testpki"
)

// A test would start with pki := testpki.New(t) and cert := pki.Server(...); this does the same
// without a test.
func Example() {
	ca, err := testpki.NewCA("Example CA")
	if err != nil {
		panic(err)
	}
	cert, err := ca.Issue(testpki.Template{Names: []string{"www.example.test", "127.0.0.1"}})
	if err != nil {
		panic(err)
	}
	clientEnd, serverEnd := net.Pipe()
	go func() {
		server := tls.Server(serverEnd, &tls.Config{Certificates: []tls.Certificate{cert.TLS}})
		defer server.Close()
		io.WriteString(server, "hello")
	}()
	client := tls.Client(clientEnd, &tls.Config{ServerName: "www.example.test", RootCAs: ca.Pool()})
	greeting, err := io.ReadAll(client)
	fmt.Println(string(greeting), err)
	// Output: hello <nil>
}
