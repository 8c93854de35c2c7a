package stats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func startJSON(t *testing.T, address string, r *Registry, o JSONOptions) *JSONServer {
	t.Helper()
	s, err := ListenJSON(address, r, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s
}

func dial(t *testing.T, a net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// readAndClose reads until the server ends, then closes, so that the server need not linger.
func readAndClose(c net.Conn) ([]byte, error) {
	defer c.Close()
	return io.ReadAll(c)
}

func TestConnectThenClose(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", filepath.Join(t.TempDir(), "stats.sock")} {
		s := startJSON(t, address, example(), JSONOptions{})
		for range 3 {
			got, err := readAndClose(dial(t, s.Addr()))
			if err != nil || string(got) != string(example().document()) {
				t.Errorf("%s: got %s, %v", address, got, err)
			}
		}
	}
}

// A client that writes first (curl, a browser) gets everything too: unread input must not turn the
// close into a reset.
func TestClientThatTalksFirst(t *testing.T) {
	r := example()
	r.Register("much", func() any { return strings.Repeat("x", 1<<20) })
	s := startJSON(t, "127.0.0.1:0", r, JSONOptions{})
	c := dial(t, s.Addr())
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nCookie: %s\r\n\r\n", strings.Repeat("x", 8<<10))
	got, err := readAndClose(c)
	if err != nil || !json.Valid(got) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestHTTP(t *testing.T) {
	s := startJSON(t, "127.0.0.1:0", example(), JSONOptions{HTTP: true})
	document := string(example().document())
	tests := []struct {
		name, request, wantStatus, wantBody string
	}{
		{"GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.0 200 OK", document},
		{"any path", "GET /a?b HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK", document},
		{"HEAD", "HEAD / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK", ""},
		{"garbage", "\x16\x03\x01\r\n\r\n", "HTTP/1.0 400 Bad Request", ""},
		{"endless header", "GET / HTTP/1.0\r\nA: " + strings.Repeat("a", maxRequest), "HTTP/1.0 400 Bad Request", ""},
	}
	for _, tt := range tests {
		c := dial(t, s.Addr())
		fmt.Fprint(c, tt.request)
		answer, err := readAndClose(c)
		head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
		status, header, _ := strings.Cut(head, "\r\n")
		if err != nil || status != tt.wantStatus || body != tt.wantBody {
			t.Errorf("%s: got %s, %v", tt.name, answer, err)
		}
		if !strings.Contains(header, "Content-Type: application/json") {
			t.Errorf("%s: got header %q", tt.name, header)
		}
	}
}

// A client that does not read is cut off, so that Shutdown, which waits for it, returns.
func TestSlowReaderIsCutOff(t *testing.T) {
	r := NewRegistry("1")
	const size = 4 << 20 // more than the buffer of a unix socket, which does not grow by itself
	r.Register("much", func() any { return strings.Repeat("x", size) })
	s := startJSON(t, filepath.Join(t.TempDir(), "sock"), r, JSONOptions{Timeout: 50 * time.Millisecond})
	c := dial(t, s.Addr())
	io.ReadFull(c, make([]byte, 1)) // it is being served
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
	if got, _ := io.Copy(io.Discard, c); got >= size {
		t.Errorf("got all %d bytes", got)
	}
}

// In HTTP mode a client that sends no request gets an error and is cut off as well.
func TestSilentClientIsCutOff(t *testing.T) {
	s := startJSON(t, "127.0.0.1:0", example(), JSONOptions{HTTP: true, Timeout: 50 * time.Millisecond})
	c := dial(t, s.Addr())
	if got, err := readAndClose(c); !strings.HasPrefix(string(got), "HTTP/1.0 400 ") || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestShutdownWaitsForTheAnswer(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	tellAsked := sync.OnceFunc(func() { close(asked) })
	r := NewRegistry("1")
	r.Register("slow", func() any {
		tellAsked()
		<-answer
		return "all there"
	})
	s := startJSON(t, "127.0.0.1:0", r, JSONOptions{})
	c := dial(t, s.Addr())
	<-asked
	ended := make(chan error)
	go func() { ended <- s.Shutdown(context.Background()) }()
	for { // until the listener is gone
		extra, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			break
		}
		extra.Close()
	}
	close(answer)
	if got, err := readAndClose(c); err != nil || !strings.Contains(string(got), "all there") {
		t.Errorf("got %s, %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: got %v", err)
	}
}

func TestShutdownCutsOffWhenItsTimeIsOver(t *testing.T) {
	s := startJSON(t, "127.0.0.1:0", example(), JSONOptions{HTTP: true, Timeout: time.Hour})
	silent := dial(t, s.Addr())
	first := dial(t, s.Addr())
	fmt.Fprint(first, "GET / HTTP/1.0\r\n\r\n")
	io.ReadAll(first) // so the silent one, which connected before, is being served
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(over); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent client got an answer")
	}
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tcp := startJSON(t, "127.0.0.1:0", example(), JSONOptions{}).Addr().String()
	unix := startJSON(t, filepath.Join(dir, "sock"), example(), JSONOptions{}).Addr().String()
	const inUse = "address already in use: choose another address or stop what uses it"
	tests := []struct{ address, want string }{
		{tcp, inUse},
		{unix, inUse},
		{file, inUse}, // a file that is not a socket is never removed
		{"198.51.100.1:0", "cannot assign requested address: choose an address of this machine"},
		{dir + "/none/sock", "no such file or directory: create the directory first"},
		{dir + strings.Repeat("/long", 30), "invalid argument: choose a shorter path (at most 107 bytes)"},
		{"127.0.0.1", "address 127.0.0.1: missing port in address: write host:port, :port, [v6]:port or the path of a unix socket"},
		{"127.0.0.1:70000", "address 70000: invalid port: write host:port, :port, [v6]:port or the path of a unix socket"},
	}
	for _, tt := range tests {
		want := fmt.Sprintf("stats: cannot listen on %s: %s", tt.address, tt.want)
		if _, err := ListenJSON(tt.address, example(), JSONOptions{}); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if _, err := ListenAdmin(tcp, example(), AdminOptions{}); !errors.Is(err, syscall.EADDRINUSE) ||
		!strings.HasPrefix(err.Error(), "admin: ") {
		t.Errorf("admin: got %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as if killed
	l.Close()
	s := startJSON(t, path, example(), JSONOptions{})
	if got, err := readAndClose(dial(t, s.Addr())); err != nil || !json.Valid(got) {
		t.Errorf("got %s, %v", got, err)
	}
	s.Shutdown(t.Context())
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Shutdown the socket is still there: %v", err)
	}
}

func TestListenerIsBounded(t *testing.T) {
	l, err := listen("test", "127.0.0.1:0", 1, new(Start))
	if err != nil {
		t.Fatal(err)
	}
	dial(t, l.Addr())
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	first.Close() // frees one slot, not two
	dial(t, l.Addr())
	second, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	dial(t, l.Addr()) // waits: were it accepted, Accept would return before the listener closes
	time.AfterFunc(50*time.Millisecond, func() { l.Close() })
	if c, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, %v, want %v", c, err, net.ErrClosed)
	}
}

func TestNothingLeaks(t *testing.T) {
	goroutines, descriptors := runtime.NumGoroutine(), countDescriptors(t)
	for range 3 {
		s, err := ListenJSON("127.0.0.1:0", example(), JSONOptions{MaxConns: 2})
		if err != nil {
			t.Fatal(err)
		}
		a, err := ListenAdmin("127.0.0.1:0", example(), AdminOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			c := dial(t, s.Addr())
			readAndClose(c)
			ask(t, "GET", "http://"+a.Addr().String()+"/metrics")
		}
		if err := errors.Join(s.Shutdown(t.Context()), a.Shutdown(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	// net/http's connection goroutines end a moment after Shutdown.
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > goroutines || countDescriptors(t) > descriptors {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines %d -> %d, descriptors %d -> %d\n%s", goroutines, runtime.NumGoroutine(),
				descriptors, countDescriptors(t), stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

// countDescriptors returns 0 where there is no /proc.
func countDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(entries)
}
