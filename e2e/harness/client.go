package harness

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reprise/internal/memconn"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// AskLine is visit for a backend that answers a line.
func AskLine(t *testing.T, addr string, config *tls.Config) tls.ConnectionState {
	t.Helper()
	state, err := TryAskLine(addr, config)
	if err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	return state
}

// TryAskLine asks, and reads to the end.
func TryAskLine(addr string, config *tls.Config) (tls.ConnectionState, error) {
	conn, err := Handshake(addr, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer TCP(conn).Close()
	if _, err := io.WriteString(conn, "ping\n"); err != nil {
		return tls.ConnectionState{}, err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && string(answer) != "ping\n" {
		err = fmt.Errorf("got %q", answer)
	}
	return conn.ConnectionState(), err
}

// ClientConfig is a client that trusts pki and remembers sessions.
func ClientConfig(pki *testpki.PKI) *tls.Config {
	return &tls.Config{
		RootCAs: pki.CA.Pool(), ServerName: "localhost",
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
}

// With returns a copy of config, changed.
func With(config *tls.Config, change func(*tls.Config)) *tls.Config {
	c := config.Clone()
	change(c)
	return c
}

// NoResumption makes a client forget its sessions.
func NoResumption(c *tls.Config) { c.ClientSessionCache = nil }

// A StrictConn makes crypto/tls tell a client whether there was a close_notify: by itself it
// accepts a FIN between two records instead.
type StrictConn struct{ net.Conn }

// Read implements net.Conn.
func (c StrictConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = ErrNoCloseNotify
	}
	return n, err
}

// ErrNoCloseNotify is how a [StrictConn] ends without close_notify.
var ErrNoCloseNotify = errors.New("the connection ended without close_notify")

// TCP returns the TCP connection below a client's TLS.
func TCP(conn *tls.Conn) *net.TCPConn { return conn.NetConn().(StrictConn).Conn.(*net.TCPConn) }

// Handshake connects to addr.
func Handshake(addr string, config *tls.Config) (*tls.Conn, error) {
	raw, err := nettest.Dial(addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(StrictConn{raw}, config)
	conn.SetDeadline(time.Now().Add(Patience))
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// Connect connects to addr until the test ends.
func Connect(t *testing.T, addr string, config *tls.Config) *tls.Conn {
	t.Helper()
	conn, err := Handshake(addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.NetConn().Close() })
	return conn
}

// DialRaw connects to addr without TLS until the test ends.
func DialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := nettest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(Patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Ping sends something to an echo and waits for it to come back.
func Ping(conn net.Conn) error {
	const message = "ping\n"
	if _, err := io.WriteString(conn, message); err != nil {
		return err
	}
	answer := make([]byte, len(message))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != message {
		return fmt.Errorf("got %q, want %q", answer, message)
	}
	return nil
}

// TryVisit makes a connection to an echo, uses it and ends it properly.
func TryVisit(addr string, config *tls.Config) (tls.ConnectionState, error) {
	conn, err := Handshake(addr, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	if err := Ping(conn); err != nil {
		return tls.ConnectionState{}, err
	}
	if err := conn.CloseWrite(); err != nil {
		return tls.ConnectionState{}, err
	}
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		return tls.ConnectionState{}, fmt.Errorf("at the end: %q, %v, want a close_notify", rest,
			err)
	}
	return conn.ConnectionState(), nil
}

// Visit is tryVisit, which must succeed.
func Visit(t *testing.T, addr string, config *tls.Config) tls.ConnectionState {
	t.Helper()
	state, err := TryVisit(addr, config)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// WantResumed visits addr and checks whether that resumed a session.
func WantResumed(t *testing.T, addr string, config *tls.Config, want bool) {
	t.Helper()
	if got := Visit(t, addr, config).DidResume; got != want {
		t.Errorf("%s: resumed is %v, want %v", addr, got, want)
	}
}

// AnswerLine is a backend that answers a line with itself and closes, or with a
// small page if the line is an HTTP request.
func AnswerLine(conn net.Conn) {
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	if !strings.Contains(line, "HTTP/1.1") {
		io.WriteString(conn, line)
		return
	}
	if _, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(line),
		r))); err == nil {
		io.WriteString(conn,
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\npage\n")
	}
}

// ClientHello returns the first bytes of a client.
func ClientHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	var first firstFlight
	_ = tls.Client(&first, config).Handshake() // it gets no answer
	if first.Len() == 0 {
		t.Fatal("the client sends nothing")
	}
	return first.Bytes()
}

// A firstFlight keeps what a client writes, and has no answer.
type firstFlight struct {
	memconn.Rest
	bytes.Buffer
}

func (f *firstFlight) Write(p []byte) (int, error) { return f.Buffer.Write(p) }
func (f *firstFlight) Read([]byte) (int, error)    { return 0, io.EOF }
