package main

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"reprise/internal/testpki"
)

// A runner plays the part of BoGo's, for one test.
type runner struct {
	t        *testing.T
	listener net.Listener
	files    []string // flags that name the certificate and the key
	done     chan int
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"test"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	chain := write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.TLS.Certificate[0]}))
	key := write("key.pem", cert.KeyPEM)
	return &runner{t: t, listener: listener, files: []string{"-cert-file", chain, "-key-file", key}, done: make(chan int, 1)}
}

// start runs the shim with the flags of a test.
func (r *runner) start(flags ...string) {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	args := append([]string{"-port", port, "-shim-id", "77", "-server", "-write-settings", "/x/SomeTest-"}, r.files...)
	go func() { r.done <- shim(append(args, flags...)) }()
}

// accept takes the shim's next connection, and makes a client of it.
func (r *runner) accept(config *tls.Config) *tls.Conn {
	r.t.Helper()
	socket, err := r.listener.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { socket.Close() })
	var id [8]byte
	if _, err := io.ReadFull(socket, id[:]); err != nil || binary.LittleEndian.Uint64(id[:]) != 77 {
		r.t.Fatalf("shim's id: got %v, %v, want 77", id, err)
	}
	return tls.Client(socket, config)
}

// exchange sends a message and wants it back with every bit flipped.
func (r *runner) exchange(c *tls.Conn) {
	r.t.Helper()
	message := strings.Repeat("abc", 1000)
	if _, err := io.WriteString(c, message); err != nil {
		r.t.Fatal(err)
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(c, got); err != nil {
		r.t.Fatal(err)
	}
	for i := range got {
		if got[i]^0xff != message[i] {
			r.t.Fatalf("byte %d: got %02x, want the inverse of %02x", i, got[i], message[i])
		}
	}
	c.Close()
}

func (r *runner) wantStatus(want int) {
	r.t.Helper()
	if got := <-r.done; got != want {
		r.t.Errorf("exit status: got %d, want %d", got, want)
	}
}

func TestShimEchoesAndResumes(t *testing.T) {
	for _, flags := range [][]string{
		{},
		{"-async"},
		{"-check-close-notify", "-expect-version", strconv.Itoa(tls.VersionTLS13)},
		{"-async", "-expect-no-hrr", "-read-size", "7"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			r := newRunner(t)
			config := &tls.Config{
				ServerName: "test", InsecureSkipVerify: true,
				ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			r.start(append(flags, "-resume-count", "1")...)
			r.exchange(r.accept(config))
			c := r.accept(config)
			r.exchange(c)
			if !c.ConnectionState().DidResume {
				t.Error("the second connection did not resume the first one's session")
			}
			r.wantStatus(0)
		})
	}
}

func TestShimFailsWhereExpectationsAreNotMet(t *testing.T) {
	for _, flags := range [][]string{
		{"-expect-version", strconv.Itoa(tls.VersionTLS12)},
		{"-expect-hrr"},
		{"-expect-server-name", "other"},
		{"-select-alpn", "foo"},
		{"-expect-selected-credential", "0"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			r := newRunner(t)
			r.start(flags...)
			c := r.accept(&tls.Config{ServerName: "test", InsecureSkipVerify: true})
			_, _ = c.Write([]byte("x"))
			c.Close()
			r.wantStatus(1)
		})
	}
}

func TestParseRefusesWhatTheContractCannotDo(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-server", "-never-heard-of"}, "flag -never-heard-of"},
		{[]string{"-server", "-on-resume-expect-accept-early-data"}, "early data accepted"},
		{[]string{"-async"}, "outside: client test"},
		{[]string{"-server", "-dtls"}, "outside: not TLS over a stream"},
		{[]string{"-server", "-write-settings", "/x/ALPS-Basic-Server-"}, "outside: application settings (ALPS)"},
		{[]string{"-server", "-on-initial-ocsp-response", "AQ=="}, "outside: OCSP stapling, certificate timestamps"},
	} {
		_, err := parseTest(tc.args)
		if cause, ok := errors.AsType[unimplemented](err); !ok || string(cause) != tc.want {
			t.Errorf("parseTest(%q): got %v, want %q", tc.args, err, tc.want)
		}
	}
}

func TestParseKeepsConnectionsApart(t *testing.T) {
	got, err := parseTest([]string{
		"-server", "-port", "1", "-on-initial-select-alpn", "a", "-on-resume-select-alpn", "b", "-async",
		"-new-x509-credential", "-cert-file", "one", "-new-x509-credential", "-cert-file", "two",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.initial.alpn != "a" || got.resume.alpn != "b" {
		t.Errorf("protocols: got %q and %q, want a and b", got.initial.alpn, got.resume.alpn)
	}
	if !got.initial.async || !got.resume.async {
		t.Error("a flag without a prefix is not for both connections")
	}
	if c := got.resume.credentials; len(c) != 2 || c[0].certFile != "one" || c[1].certFile != "two" {
		t.Errorf("credentials: got %v, want one and two", c)
	}
}

// There is no handshaker, which would give the server hints: its flags have no effect.
func TestParseForgetsFlagsOfTheHandshaker(t *testing.T) {
	got, err := parseTest([]string{
		"-server", "-port", "1", "-on-shim-select-alpn", "a", "-on-handshaker-select-alpn", "b",
		"-on-handshaker-on-resume-no-ticket", "-on-shim-on-initial-read-size", "7",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.initial.alpn != "a" || got.resume.alpn != "a" {
		t.Errorf("protocols: got %q and %q, want a", got.initial.alpn, got.resume.alpn)
	}
	if got.resume.noTickets || got.initial.readSize != 7 || got.resume.readSize != 0 {
		t.Errorf("no tickets %v, sizes %d and %d, want false, 7 and 0", got.resume.noTickets, got.initial.readSize, got.resume.readSize)
	}
}

func TestReportNamesUnexplainedFailures(t *testing.T) {
	r := readResults(strings.NewReader(`PASSED (A)
FAILED (B-1)
unexpected failure
got:
	stderr:
		<bad_record> oops
	local: "EOF"
UNIMPLEMENTED (C)
UNIMPLEMENTED (Client)
FAILED (D)
`))
	r.explain("C\ta choice\nClient\toutside: client test\n")
	var out strings.Builder
	err := r.report(&out, parseExpected("# comment\nB-* another choice\n"))
	if err == nil {
		t.Error("a failure that is not expected: got no error")
	}
	for _, want := range []string{"tests 4: passed 1, failed 2, skipped 1", "1  another choice", "1  a choice", "  D\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, out.String())
		}
	}
	if got, want := r.summary("B-1"), `unexpected failure; shim: <bad_record> oops; local: "EOF"`; got != want {
		t.Errorf("summary: got %s, want %s", got, want)
	}
}
