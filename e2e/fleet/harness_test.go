package fleet

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A fleet is one of nodes that have a secret of their own.
type fleet struct{ *harness.Fleet }

// newFleet prepares n nodes, of which none runs yet.
func newFleet(t *testing.T, n int, options ...string) *fleet {
	t.Helper()
	f := &fleet{harness.NewFleet(t, n, "", options...)}
	f.Secret = harness.SecretFile(t)
	return f
}

// startFleet runs n nodes that know each other.
func startFleet(t *testing.T, n int, options ...string) *fleet {
	t.Helper()
	f := newFleet(t, n, options...)
	f.RunAll()
	return f
}

// mustForget runs reprise forget, which must succeed.
func (f *fleet) mustForget(i int, args ...string) {
	f.T.Helper()
	if r := f.ForgetAt(i, args...); r.ExitCode != 0 {
		f.T.Fatalf("forget %v: exit code %d, want 0:\n%s%s", args, r.ExitCode, r.Stdout, r.Stderr)
	}
}

// redis runs a Redis server until the test ends, and returns its address.
func redis(t *testing.T) (*nettest.Process, string) {
	t.Helper()
	nettest.Need(t, "redis-server")
	addr := nettest.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	return nettest.Start(t, nettest.Command{
		Path: "redis-server", Args: []string{"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""},
	}, nettest.Prints("Ready to accept connections")), addr
}

// redisCommand sends one command and returns the answer, which must not be an error.
func redisCommand(t *testing.T, addr string, words ...string) string {
	t.Helper()
	conn, err := nettest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\nQUIT\r\n", strings.Join(words, " "))
	answer, err := io.ReadAll(conn)
	if err != nil || len(answer) == 0 || answer[0] == '-' {
		t.Fatalf("redis: %v: %q, %v", words, answer, err)
	}
	return string(answer)
}

// redisKeys lists the keys in a Redis server.
func redisKeys(t *testing.T, addr string) (keys []string) {
	t.Helper()
	for _, line := range strings.Split(redisCommand(t, addr, "KEYS", "*"), "\r\n") {
		if line != "" && !strings.ContainsAny(line[:1], "*$+") {
			keys = append(keys, line)
		}
	}
	slices.Sort(keys)
	return keys
}
