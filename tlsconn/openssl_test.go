package tlsconn_test

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"reprise/tlsconn"

	"reprise/internal/nettest"
)

// What crypto/tls's client does not do is asked of openssl s_client, whose
// commands are lines of one letter.

// A KeyUpdate that asks for one in return (RFC 8446, Section 4.6.3), however it
// is cut.
func TestKeyUpdate(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for name, cut := range cuts() {
			t.Run(name, func(t *testing.T) {
				client := e.startOpenSSL(t, cut, "-tls1_3")
				client.say("before\n")
				client.expect("BEFORE")
				for range 3 {
					client.say("K\n")
					client.expect("KEYUPDATE")
					client.say("after\n")
					client.expect("AFTER")
				}
				client.finish(tlsconn.PeerClosed, tlsconn.ReasonOther)
			})
		}
	})
}

// A client that renegotiates gets no second handshake.
func TestRenegotiationByOpenSSL(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		client := e.startOpenSSL(t, whole, "-tls1_2")
		client.say("before\n")
		client.expect("BEFORE")
		client.say("R\n")
		client.expect("RENEGOTIATING")
		client.finish(tlsconn.Failed, tlsconn.ReasonRenegotiation)
	})
}

// A client without tickets resumes TLS 1.2 by session ID.
func TestResumedByID(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		if e.ticketsOnly {
			t.Skip("this engine resumes by ticket alone")
		}
		s, _, _ := e.sessionServer(t)
		file := t.TempDir() + "/session"
		visit := func(option string) *tlsconn.Info {
			client := startOpenSSL(t, s, whole, "-tls1_2", "-no_ticket", "-servername", "www.example.test", option, file)
			client.say("hello\n")
			client.expect("HELLO")
			client.say("Q\n")
			conn := <-client.done
			return conn.Info()
		}
		if got := visit("-sess_out"); got.Outcome != tlsconn.NewClient || got.ByID {
			t.Fatalf("the first time: got %v, by ID %t", got.Outcome, got.ByID)
		}
		if got := visit("-sess_in"); got.Outcome != tlsconn.ResumedLocal || !got.ByID {
			t.Errorf("the second time: got %v, by ID %t, want %v", got.Outcome, got.ByID, tlsconn.ResumedLocal)
		}
		if got := s.Counts().Resumed12.Counts()["id"]; got != 1 {
			t.Errorf("counted %d times, want once", got)
		}
	})
}

// An opensslClient talks to a Conn that answers in capitals.
type opensslClient struct {
	t     *testing.T
	stdin io.WriteCloser
	out   chan string // pieces of its output
	seen  string
	done  chan tlsconn.Conn // the Conn at its end
}

func (e engine) startOpenSSL(t *testing.T, cut func(int) int, args ...string) *opensslClient {
	t.Helper()
	return startOpenSSL(t, e.server(t), cut, args...)
}

func startOpenSSL(t *testing.T, s tlsconn.Server, cut func(int) int,
	args ...string,
) *opensslClient {
	t.Helper()
	nettest.Need(t, "openssl")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	c := &opensslClient{t: t, out: make(chan string, 1000), done: make(chan tlsconn.Conn, 1)}
	go func() { c.done <- serveCapitals(listener, s, cut) }()

	cmd := exec.Command("openssl", append([]string{"s_client", "-connect", listener.Addr().String()}, args...)...)
	stdout, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { w.CloseWithError(cmd.Wait()) }()
	go func() {
		defer close(c.out)
		for b := make([]byte, 4096); ; {
			n, err := stdout.Read(b)
			if err != nil {
				return
			}
			c.out <- string(b[:n])
		}
	}()
	t.Cleanup(func() { cmd.Process.Kill() })
	return c
}

func serveCapitals(listener net.Listener, s tlsconn.Server, cut func(int) int) tlsconn.Conn {
	conn := s.NewConn(nil)
	socket, err := listener.Accept()
	if err != nil {
		return conn
	}
	defer socket.Close()
	in, p := make([]byte, 16<<10), make([]byte, 16<<10)
	for conn.State() < tlsconn.PeerClosed {
		n, err := socket.Read(in)
		if err != nil {
			conn.EOF(nil)
			break
		}
		var out []byte
		for rest := in[:n]; len(rest) > 0; {
			n := min(max(1, cut(len(rest))), len(rest))
			out = conn.Feed(out, rest[:n])
			rest = rest[n:]
			for {
				var n int
				if n, out = conn.Read(out, p); n == 0 {
					break
				}
				out = conn.Write(out, []byte(strings.ToUpper(string(p[:n]))))
			}
		}
		if _, err := socket.Write(out); err != nil {
			break
		}
	}
	return conn
}

func (c *opensslClient) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, line); err != nil {
		c.t.Fatal(err)
	}
}

// expect waits until the client's output holds text, and forgets it up to there.
func (c *opensslClient) expect(text string) {
	c.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		if _, after, ok := strings.Cut(c.seen, text); ok {
			c.seen = after
			return
		}
		select {
		case piece, ok := <-c.out:
			if !ok {
				c.t.Fatalf("openssl ended; want %q, it said:\n%s", text, c.seen)
			}
			c.seen += piece
		case <-deadline:
			c.t.Fatalf("openssl did not say %q but:\n%s", text, c.seen)
		}
	}
}

// finish ends the client's input and checks how its connection ended.
func (c *opensslClient) finish(state tlsconn.State, reason tlsconn.Reason) {
	c.t.Helper()
	if state != tlsconn.Failed {
		c.say("Q\n")
	}
	select {
	case conn := <-c.done:
		if state == tlsconn.Failed {
			wantReason(c.t, conn, reason)
		} else if conn.State() != state {
			c.t.Errorf("got %v (%v), want %v", conn.State(), conn.Err(), state)
		}
	case <-time.After(10 * time.Second):
		c.t.Fatal("the connection did not end")
	}
}
