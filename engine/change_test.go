package engine

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/internal/nettest"
)

// says serves HTTP with one text.
func says(t *testing.T, text string) string {
	t.Helper()
	return nettest.Serve(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		}
	}).Addr
}

// heard asks on a kept connection and returns the answer with its body.
func heard(t *testing.T, c net.Conn, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// changed makes a change, as a program does.
func changed(t *testing.T, e *Engine, o Options, listeners ...Listener) *Change {
	t.Helper()
	c, err := e.Prepare(o, listeners)
	if err != nil {
		t.Fatal(err)
	}
	c.Commit()
	return c
}

func plainListener(name, addr string) Listener {
	return Listener{Name: name, Network: "tcp", Address: addr, IdleTimeout: time.Minute}
}

func startListeners(t *testing.T, o Options, listeners ...Listener) *Engine {
	t.Helper()
	e, err := New(o, listeners)
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func dialPlain(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// echoes sends a line through an echo and reads it back.
func echoes(t *testing.T, c net.Conn, line string) {
	t.Helper()
	got := make([]byte, len(line))
	_, _ = io.WriteString(c, line)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != line {
		t.Fatalf("got %q, %v, want %q", got, err, line)
	}
}

// TestChange holds that the next request of an existing client uses the changed settings, while
// relayed bytes go on as they were.
func TestChange(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo).Addr
	web, raw := plainListener("http", nettest.FreeAddr(t)), plainListener("rawrouter", nettest.FreeAddr(t))
	web.HTTP, web.Pools = httpOptions(), newRouter(t, backend.HTTP, says(t, "old"))
	raw.Pools = newRouter(t, backend.TCP, echo)
	o := testOptions()
	e := startListeners(t, o, web, raw)
	kept := dialPlain(t, web.Address)
	keptReader := bufio.NewReader(kept)
	if _, body := heard(t, kept, keptReader); body != "old" {
		t.Fatalf("before: %q", body)
	}
	relayed := dialPlain(t, raw.Address)
	echoes(t, relayed, "before")

	newWeb, newRaw, added := web, raw, plainListener("http", nettest.FreeAddr(t))
	newWeb.HTTP, newWeb.Pools = httpOptions(), newRouter(t, backend.HTTP, says(t, "new"))
	var err error
	if newWeb.HTTP.ResponseRules, err = http1.NewRules([]http1.Rule{{Name: "X-ID", Value: "${REQUEST_ID}"}}); err != nil {
		t.Fatal(err)
	}
	added.HTTP, added.Pools = newWeb.HTTP, newWeb.Pools
	newRaw.Pools = newRouter(t, backend.TCP,
		nettest.Serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "new") }).Addr)
	if c := changed(t, e, o, newWeb, newRaw, added); len(c.Added) != 1 ||
		c.Added[0] != added.Address || len(c.Removed) != 0 {
		t.Errorf("added %v, removed %v", c.Added, c.Removed)
	}

	var id string
	for range 2 {
		resp, body := heard(t, kept, keptReader)
		got := resp.Header.Get("X-ID")
		if body != "new" || got == "" || id != "" && got[:24] != id[:24] {
			t.Errorf("after: %q, X-ID %q after %q", body, got, id)
		}
		id = got
	}
	for range 8 { // on all loops
		c := dialPlain(t, added.Address)
		if _, body := heard(t, c, bufio.NewReader(c)); body != "new" {
			t.Errorf("at the new listener: %q", body)
		}
	}
	echoes(t, relayed, "after")
	if got, _ := io.ReadAll(dialPlain(t, raw.Address)); string(got) != "new" {
		t.Errorf("a new connection gets %q", got)
	}
	if got := e.Stats().Listeners; len(got) != 3 || got[2].Accepted != 8 || got[0].Accepted != 1 {
		t.Errorf("listeners: %+v", got)
	}
}

// TestChangeHTTP2 holds that streams of an existing connection use the new settings.
func TestChangeHTTP2(t *testing.T) {
	h := httpOptions()
	e, addr := startListener(t, testOptions(),
		Listener{HTTP: h, Pools: newRouter(t, backend.HTTP, says(t, "old"))}, true)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	ask := func() (string, string) {
		t.Helper()
		resp, err := client.Get("https://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 {
			t.Error("not HTTP/2")
		}
		body, _ := io.ReadAll(resp.Body)
		return string(body), resp.Header.Get("X-ID")
	}
	if body, _ := ask(); body != "old" {
		t.Fatalf("before: %q", body)
	}
	fresh, err := e.bound[0].own[0].Listener, error(nil)
	fresh.Address, fresh.HTTP, fresh.Pools = e.bound[0].asked, httpOptions(), newRouter(t,
		backend.HTTP, says(t, "new"))
	if fresh.HTTP.ResponseRules, err = http1.NewRules([]http1.Rule{{Name: "X-ID", Value: "${REQUEST_ID}"}}); err != nil {
		t.Fatal(err)
	}
	changed(t, e, testOptions(), fresh)
	if body, id := ask(); body != "new" || id == "" {
		t.Errorf("after: %q, X-ID %q", body, id)
	}
	if n := e.Stats().HTTP2.Connections.Load(); n != 1 {
		t.Errorf("%d connections, want the one", n)
	}
	changed(t, e, testOptions())
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Open.Load() == 0 }, "the client of a listener that is gone is asked to go")
}

// TestRemoveListener holds that clients of a removed listener are served to their end, and that new
// ones are refused.
func TestRemoveListener(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo).Addr
	web, raw := plainListener("http", nettest.FreeAddr(t)), plainListener("rawrouter", nettest.FreeAddr(t))
	web.HTTP, web.Pools = httpOptions(), newRouter(t, backend.HTTP, says(t, "here"))
	raw.Pools = newRouter(t, backend.TCP, echo)
	e := startListeners(t, testOptions(), web, raw)
	kept, relayed := dialPlain(t, web.Address), dialPlain(t, raw.Address)
	r := bufio.NewReader(kept)
	heard(t, kept, r)
	echoes(t, relayed, "before")
	if c := changed(t, e, testOptions()); len(c.Removed) != 2 {
		t.Errorf("removed %v", c.Removed)
	}
	for _, addr := range []string{web.Address, raw.Address} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s takes connections", addr)
		}
	}
	echoes(t, relayed, "after")
	if resp, body := heard(t, kept, r); body != "here" || !resp.Close {
		t.Errorf("a kept connection: %q, close %v", body, resp.Close)
	}
	wantEnd(t, kept, "the kept connection")
	changed(t, e, testOptions(), raw) // and back
	echoes(t, dialPlain(t, raw.Address), "again")
	echoes(t, relayed, "still")
}

// TestChangeOfKind holds that a listener of another kind takes over the sockets at its address,
// with the clients waiting there, and that existing connections go on as they were.
func TestChangeOfKind(t *testing.T) {
	addr := nettest.FreeAddr(t)
	raw, web := plainListener("rawrouter", addr), plainListener("http", addr)
	raw.Pools = newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr)
	web.HTTP, web.Pools = httpOptions(), newRouter(t, backend.HTTP, says(t, "web"))
	e := startListeners(t, testOptions(), raw)
	relayed := dialPlain(t, addr)
	echoes(t, relayed, "before")
	if c := changed(t, e, testOptions(), web); len(c.Added)+len(c.Removed) != 0 {
		t.Errorf("added %v, removed %v", c.Added, c.Removed)
	}
	c := dialPlain(t, addr)
	if _, body := heard(t, c, bufio.NewReader(c)); body != "web" {
		t.Errorf("got %q", body)
	}
	echoes(t, relayed, "after")
	if got := e.Stats().Listeners; len(got) != 1 || got[0].Router != "http" || got[0].Accepted != 1 {
		t.Errorf("%+v", got)
	}
}

// TestChangeThatFails holds that a change that cannot be made has no effect and leaves nothing
// behind.
func TestChangeThatFails(t *testing.T) {
	echo := newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	old, good, bad := plainListener("rawrouter", nettest.FreeAddr(t)), plainListener("rawrouter",
		nettest.FreeAddr(t)), plainListener("rawrouter", taken.Addr().String())
	unix := Listener{Name: "rawrouter", Network: "unix", Address: t.TempDir() + "/s", IdleTimeout: time.Minute}
	for _, ln := range []*Listener{&old, &good, &bad, &unix} {
		ln.Pools = echo
	}
	e := startListeners(t, testOptions(), old)
	if _, err := e.Prepare(testOptions(), []Listener{good, unix, bad}); err == nil ||
		!strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("got %v", err)
	}
	if c, err := net.Dial("tcp", good.Address); err == nil {
		c.Close()
		t.Error("a listener of it is left")
	}
	if got := e.Addresses(); len(got) != 1 || got[0] != old.Address {
		t.Errorf("it listens at %v", got)
	}
	echoes(t, dialPlain(t, old.Address), "as before")

	c, err := e.Prepare(testOptions(), []Listener{good, unix})
	if err != nil {
		t.Fatal(err)
	}
	waiting := dialPlain(t, good.Address) // it is bound, and accepts nothing yet
	c.Commit()
	echoes(t, waiting, "at last")
	changed(t, e, testOptions(), old)
	if _, err := net.Dial("unix", unix.Address); err == nil {
		t.Error("the unix socket is left")
	}
}

// TestChangeWildcard holds that an address can be listened on that a removed listener has covered,
// and not one that a remaining listener covers.
func TestChangeWildcard(t *testing.T) {
	echo := newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr)
	_, port, _ := net.SplitHostPort(nettest.FreeAddr(t))
	all, one := plainListener("rawrouter", ":"+port), plainListener("rawrouter", "127.0.0.1:"+port)
	all.Pools, one.Pools = echo, echo
	e := startListeners(t, testOptions(), all)
	if _, err := e.Prepare(testOptions(), []Listener{all, one}); err == nil {
		t.Error("both at once")
	}
	changed(t, e, testOptions(), one)
	echoes(t, dialPlain(t, one.Address), "one")
	changed(t, e, testOptions(), all)
	echoes(t, dialPlain(t, one.Address), "all")
}
