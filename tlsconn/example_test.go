package tlsconn_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"reprise/internal/testpki"
	"reprise/tlsconn"
	"reprise/tlsconn/standard"
)

// A server that answers one connection, with a blocking socket in place of a
// reactor.
func Example() {
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}})
	if err != nil {
		panic(err)
	}
	certificates, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: cert.TLS}})
	if err != nil {
		panic(err)
	}
	server, err := standard.New(tlsconn.Config{Certificates: certificates, Now: time.Now})
	if err != nil {
		panic(err)
	}
	defer server.Close()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	answered := make(chan string)
	go func() {
		answered <- ask(listener.Addr().String())
	}()
	socket, err := listener.Accept()
	if err != nil {
		panic(err)
	}
	defer socket.Close()

	conn := server.NewConn(nil) // nothing here ever parks a handshake
	defer conn.Abort()
	ciphertext, plaintext := make([]byte, 16<<10), make([]byte, 16<<10)
	for conn.State() < tlsconn.PeerClosed {
		n, err := socket.Read(ciphertext)
		if err != nil {
			socket.Write(conn.EOF(nil))
			break
		}
		out := conn.Feed(nil, ciphertext[:n])
		for {
			n, out = conn.Read(out, plaintext)
			if n == 0 {
				break
			}
			fmt.Printf("server read %q\n", plaintext[:n])
			out = conn.Write(out, []byte("hello, "+conn.Info().ServerName))
		}
		if conn.State() == tlsconn.PeerClosed {
			out = conn.CloseNotify(out)
		}
		socket.Write(out)
	}
	fmt.Printf("client read %q\n", <-answered)
	// Output:
	// server read "hello"
	// client read "hello, www.example.test"
}

// ask is a client that says hello and returns the answer.
func ask(addr string) (answer string) {
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "www.example.test", InsecureSkipVerify: true})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	io.WriteString(c, "hello")
	c.CloseWrite()
	text, _ := io.ReadAll(c)
	return string(text)
}
