package nettest_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/internal/nettest"
)

func TestNeed(t *testing.T) {
	t.Setenv("CI", "")
	file := filepath.Join(t.TempDir(), "header.h")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	try(func(t nettest.T) { nettest.Need(t, "go", file) }).wantSuccess(t)

	t.Setenv("PATH", t.TempDir())
	needs := func(t nettest.T) { nettest.Need(t, "gnutls-cli", "no-such-program", "/no/such/file") }
	const want = "needs gnutls-cli, no-such-program, /no/such/file: apt-get install gnutls-bin no-such-program /no/such/file"
	if got := try(needs); !got.skipped || got.failed || got.log[0] != want {
		t.Errorf("got skipped %t, failed %t, log %q, want skipped: %q", got.skipped, got.failed, got.log, want)
	}
	t.Setenv("CI", "true")
	try(needs).wantFailure(t, want)
}

func TestEventually(t *testing.T) {
	calls := 0
	try(func(t nettest.T) {
		nettest.Eventually(t, time.Minute, func() bool { calls++; return calls == 3 }, "third call")
	}).wantSuccess(t)
	never := func(t nettest.T) {
		nettest.Eventually(t, time.Millisecond, func() bool { return false }, "node %d up", 2)
	}
	try(never).wantFailure(t, "not within 1ms: node 2 up")
}

func TestLeakCheck(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	file, err := os.Create(filepath.Join(t.TempDir(), "left-open"))
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	for _, tc := range []struct {
		name string
		test func()
		want []string // in the failure; empty for none
	}{
		{"nothing", func() {}, nil},
		{"goroutine that ends late", func() { go time.Sleep(20 * time.Millisecond) }, nil},
		{"goroutine and descriptor", func() {
			go func() { <-stop }()
			if file, err = os.Open(file.Name()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { file.Close() })
		}, []string{"2 leaked", "TestLeakCheck", "left-open"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := try(func(t nettest.T) {
				nettest.LeakCheck(t)
				tc.test()
			})
			if len(tc.want) == 0 {
				got.wantSuccess(t)
			}
			for _, want := range tc.want {
				got.wantFailure(t, want)
			}
		})
	}
}

func TestFreePortIsReserved(t *testing.T) {
	given := map[int]bool{}
	for range 200 {
		port := nettest.FreePort(t)
		if given[port] {
			t.Fatalf("port %d given twice", port)
		}
		given[port] = true
	}
	addr := nettest.FreeAddr(t)
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	udp.Close()
}

func TestProc(t *testing.T) {
	before, err := nettest.CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, 30*time.Second, func() bool {
		for start := time.Now(); time.Since(start) < 10*time.Millisecond; {
			sha256.Sum256(make([]byte, 1024))
		}
		now, err := nettest.CPUTime(os.Getpid())
		return err == nil && now >= before+50*time.Millisecond
	}, "50 ms of processor time")

	small, err := nettest.RSS(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const added = 64 << 20
	// Not from Go's heap, which the race detector shadows.
	block, err := syscall.Mmap(-1, 0, added, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(block)
	large, err := nettest.RSS(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if grown := large - small; grown < added/2 || grown > 2*added {
		t.Errorf("resident memory grew by %d bytes, want about %d", grown, added)
	}
	if _, err := nettest.RSS(1 << 30); err == nil {
		t.Error("a process that does not exist has memory")
	}
	if _, err := nettest.CPUTime(1 << 30); err == nil {
		t.Error("a process that does not exist has used time")
	}
}

func TestBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	program := nettest.Build(t, "reprise/internal/nettest/testdata/hello")
	if got := nettest.Run(t, nettest.Command{Path: program}).Stdout; got != "hello\n" {
		t.Errorf("got %q, want hello", got)
	}
	if again := nettest.Build(t, "reprise/internal/nettest/testdata/hello"); again != program {
		t.Errorf("got %s the second time, %s the first", again, program)
	}
	try(func(t nettest.T) { nettest.Build(t, "reprise/no/such/package") }).wantFailure(t, "no/such/package")
}

func TestBackends(t *testing.T) {
	nettest.LeakCheck(t)
	const seed, size = 7, 3<<20 + 5
	digest := sha256.New()
	if _, err := io.Copy(digest, nettest.NewPattern(seed, size)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		handle nettest.Handler
		check  func(io.Reader) error
	}{
		{"echo", nettest.Echo, func(r io.Reader) error { return nettest.CheckPattern(r, seed, size) }},
		{"digest", nettest.Digest, func(r io.Reader) error {
			got, err := io.ReadAll(r)
			if want := fmt.Sprintf("%x\n", digest.Sum(nil)); err == nil && string(got) != want {
				err = fmt.Errorf("got %q, want %q", got, want)
			}
			return err
		}},
		{"discard", nettest.Discard, func(r io.Reader) error { return nettest.CheckPattern(r, seed, 0) }},
	} {
		for _, addr := range []string{"127.0.0.1:0", filepath.Join(t.TempDir(), "socket")} {
			b := nettest.ServeAt(t, addr, tc.handle)
			conn, err := nettest.Dial(b.Addr)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				io.Copy(conn, nettest.NewPattern(seed, size))
				conn.(interface{ CloseWrite() error }).CloseWrite()
			}()
			if err := tc.check(conn); err != nil {
				t.Errorf("%s at %s: %v", tc.name, b.Addr, err)
			}
			conn.Close()
			if got := b.Accepted(); got != 1 {
				t.Errorf("%s: got %d connections, want 1", tc.name, got)
			}
		}
	}
}

func TestSourceClosesWithoutLoss(t *testing.T) {
	const size = 10 << 20
	b := nettest.Serve(t, nettest.Source(1, size))
	conn, err := nettest.Dial(b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	if err := nettest.CheckPattern(conn, 1, size); err != nil {
		t.Error(err)
	}
}

func TestSilentBackend(t *testing.T) {
	nettest.LeakCheck(t)
	b := nettest.Serve(t, nettest.Silent)
	conn, err := nettest.Dial(b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "anyone there?")
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %d bytes, %v, want a timeout", n, err)
	}
	b.Close()
	conn.SetReadDeadline(time.Time{})
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("got %d bytes from a closed backend", n)
	}
	again := nettest.ServeAt(t, b.Addr, nettest.Echo)
	if again.Addr != b.Addr {
		t.Errorf("came back at %s, was at %s", again.Addr, b.Addr)
	}
}
