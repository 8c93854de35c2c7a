package operations

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// twoPartBackend sends n bytes of the pattern of seed, the second half once
// release is called.
func twoPartBackend(t *testing.T, seed uint64, n int64) (b *nettest.Backend, release func()) {
	t.Helper()
	released := make(chan struct{})
	b = nettest.Serve(t, func(conn net.Conn) {
		go nettest.Discard(conn)
		answer := nettest.NewPattern(seed, n)
		io.CopyN(conn, answer, n/2)
		<-released
		io.Copy(conn, answer)
	})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	return b, release
}

// startDownload runs the program in front of backend and reads the first half
// of an answer of n bytes, so that a flow is open that will not end by itself.
func startDownload(t *testing.T, backend *nettest.Backend, n int64,
	args ...string,
) (*harness.Server, *tls.Conn, *tls.Config, *nettest.Checker) {
	t.Helper()
	pki := testpki.New(t)
	config := harness.ClientConfig(pki)
	s := harness.Start(t, append(args, harness.Listen(pki.Server(testpki.ECDSA, "localhost")),
		harness.To(backend.Addr))...)
	conn := harness.Connect(t, s.Addr(), config)
	got := nettest.NewChecker(downloadSeed)
	if _, err := io.CopyN(got, conn, n/2); err != nil {
		t.Fatal(err)
	}
	return s, conn, config, got
}

const downloadSeed = 5

// TestDrain: a draining node takes no more connections, tells the balancer in front, and finishes
// its flows.
func TestDrain(t *testing.T) {
	const n = 4 * harness.MiB
	backend, release := twoPartBackend(t, downloadSeed, n)
	s, conn, _, got := startDownload(t, backend, n, "--drain-timeout", harness.Patience.String())
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := s.Get(path); status != http.StatusOK {
			t.Errorf("%s: got %d %q, want 200", path, status, body)
		}
	}
	s.Signal(syscall.SIGTERM)
	nettest.Eventually(t, harness.Patience, func() bool {
		c, err := nettest.Dial(s.Addr())
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, "connections are refused")
	if status, body := s.Get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("readyz while draining: got %d %q, want 503 draining", status, body)
	}
	if status, body := s.Get("/healthz"); status != http.StatusOK {
		t.Errorf("healthz while draining: got %d %q, want 200", status, body)
	}
	release()
	if _, err := io.Copy(got, conn); err != nil || got.Len() != n {
		t.Errorf("the download under way: %d bytes and %v, want %d and a close_notify", got.Len(), err, n)
	}
	conn.Close()
	if code := s.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestDrainEnds: the time-out, or a second signal, ends the wait of a draining node. A stream that
// is cut then must not look complete.
func TestDrainEnds(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout string
		second  syscall.Signal
	}{
		{"deadline", "200ms", 0},
		{"second SIGTERM", "1h", syscall.SIGTERM},
		{"SIGINT", "1h", syscall.SIGINT},
	} {
		t.Run(test.name, func(t *testing.T) {
			const n = 128 << 10
			backend, _ := twoPartBackend(t, downloadSeed, n)
			s, conn, _, got := startDownload(t, backend, n, "--drain-timeout", test.timeout)
			begun := time.Now()
			s.Signal(syscall.SIGTERM)
			s.Match(`"msg":"draining"`)
			if test.second != 0 {
				s.Signal(test.second)
			}
			if code := s.Wait(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if d := time.Since(begun); d > harness.Patience {
				t.Errorf("it took %v to go", d)
			}
			if _, err := io.Copy(got, conn); err == nil {
				t.Errorf("the client saw a proper end after %d of %d bytes", got.Len(), n)
			}
			s.Match(`"connections_cut":1`)
		})
	}
}
