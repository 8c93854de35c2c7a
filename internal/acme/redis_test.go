package acme

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/internal/nettest"
)

func startRedis(t *testing.T) (url string) {
	t.Helper()
	addr := nettest.FreeAddr(t)
	startRedisAt(t, addr)
	return "redis://" + addr
}

func startRedisAt(t *testing.T, addr string) {
	t.Helper()
	nettest.Need(t, "redis-server")
	_, port, _ := strings.Cut(addr, ":")
	nettest.Start(t, nettest.Command{
		Path: "redis-server", Args: []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()},
	}, nettest.Accepts(addr))
}

func open(t *testing.T, url string, secrets ...string) *redis {
	t.Helper()
	var list [][]byte
	for _, s := range secrets {
		list = append(list, []byte(s))
	}
	r, err := openRedis(url, list)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// TestRedis: it keeps certmagic's values as a directory would, and cannot read them.
func TestRedis(t *testing.T) {
	url, ctx := startRedis(t), t.Context()
	r := open(t, url, "first secret of all")
	values := map[string]string{"a/b/one": "private key", "a/b/two": "", "a/c": "3"}
	for key, value := range values {
		if err := r.Store(ctx, key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range values {
		got, err := r.Load(ctx, key)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", key, got, err, want)
		}
		if info, err := r.Stat(ctx, key); err != nil || info.Size != int64(len(want)) ||
			!info.IsTerminal || time.Since(info.Modified) > time.Minute {
			t.Errorf("%s: %+v, %v", key, info, err)
		}
	}
	for _, tc := range []struct {
		dir       string
		recursive bool
		want      []string
	}{
		{"a", false, []string{"a/b", "a/c"}},
		{"a", true, []string{"a/b", "a/b/one", "a/b/two", "a/c"}},
		{"a/b", false, []string{"a/b/one", "a/b/two"}},
		{"", false, []string{"a"}},
	} {
		got, err := r.List(ctx, tc.dir, tc.recursive)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("in %q: %q, %v, want %q", tc.dir, got, err, tc.want)
		}
	}
	if info, err := r.Stat(ctx, "a/b"); err != nil || info.IsTerminal {
		t.Errorf("a directory: %+v, %v", info, err)
	}
	testSealed(t, url, r)
	if err := r.Delete(ctx, "a/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(ctx, "a/b/one"); !errors.Is(err, fs.ErrNotExist) || r.Exists(ctx, "a/b/one") ||
		r.Exists(ctx, "a/b") || !r.Exists(ctx, "a/c") {
		t.Errorf("after deleting: %v", err)
	}
	if _, err := r.List(ctx, "a/b", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list of what was deleted: %v", err)
	}
}

// testSealed: what is stored can be read by a secret of the fleet alone, and in its own place.
func testSealed(t *testing.T, url string, r *redis) {
	ctx := t.Context()
	raw, err := r.client.Do(ctx, r.client.B().Get().Key(valuePrefix+"a/b/one").Build()).AsBytes()
	if err != nil || bytes.Contains(raw, []byte("private")) {
		t.Errorf("stored in clear: %q, %v", raw, err)
	}
	// A value moved to another key is refused.
	if err := r.client.Do(ctx, r.client.B().Copy().Source(valuePrefix+"a/b/one").Destination(
		valuePrefix+"a/c").Replace().Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(ctx, "a/c"); !errors.Is(err, errDamaged) {
		t.Errorf("a value that was moved: %v", err)
	}
	if _, err := open(t, url, "another secret").Load(ctx, "a/b/one"); !errors.Is(err, errDamaged) {
		t.Errorf("by another secret: %v", err)
	}
	if got, err := open(t, url, "a new secret", "first secret of all").Load(ctx, "a/b/one"); err != nil || string(got) != "private key" {
		t.Errorf("by an old secret: %q, %v", got, err)
	}
}

// TestRedisLock: one node has a lock until it gives it back, or dies.
func TestRedisLock(t *testing.T) {
	url, ctx := startRedis(t), t.Context()
	one, two := open(t, url, "secret"), open(t, url, "secret")
	if err := one.Lock(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if taken, err := two.TryLock(ctx, "a"); taken || err != nil {
		t.Fatalf("taken by two: %v, %v", taken, err)
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	if err := two.Lock(short, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("who gives up: %v", err)
	}
	if err := two.Unlock(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if taken, _ := two.TryLock(ctx, "a"); taken {
		t.Fatal("one has given back what another has")
	}
	left, err := one.client.Do(ctx, one.client.B().Pttl().Key(lockPrefix+"a").Build()).AsInt64()
	if err != nil || left <= 0 || left > leaseTime.Milliseconds() {
		t.Errorf("it ends in %d ms, %v", left, err)
	}
	done := make(chan error)
	go func() { done <- two.Lock(ctx, "a") }()
	if err := one.Unlock(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestRedisComesLate: a node starts without it, and uses it once it runs.
func TestRedisComesLate(t *testing.T) {
	addr := nettest.FreeAddr(t)
	c, err := New(Options{
		Names: []string{"a.test"}, Directory: "https://127.0.0.1:9/dir", Storage: "redis://" + addr, Secrets: [][]byte{[]byte("secret")}, Changed: func() {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if cert, issued := c.Certificate("a.test"); cert == nil || issued {
		t.Errorf("got %v, issued is %v", cert, issued)
	}
	if err := c.storage.Storage.Store(t.Context(), "a", nil); err == nil {
		t.Error("stored nowhere")
	}
	startRedisAt(t, addr)
	if err := c.storage.Storage.Store(t.Context(), "a", nil); err != nil {
		t.Error(err)
	}
}
