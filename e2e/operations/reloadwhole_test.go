package operations

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// reloadable is a server whose configuration is a file.
type reloadable struct {
	*harness.Server
	file string
}

// startReloadable runs the program with a file, and more arguments that do not change.
func startReloadable(t *testing.T, text string, args ...string) *reloadable {
	t.Helper()
	r := &reloadable{file: filepath.Join(t.TempDir(), "edge.ini")}
	r.write(t, text)
	r.Server = harness.Start(t, append([]string{r.file}, args...)...)
	return r
}

func (r *reloadable) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(r.file, []byte("[reprise]\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload changes the file, reloads, and returns the output of the command, which must end with that
// status.
func (r *reloadable) reload(text string, status int) string {
	r.T.Helper()
	r.write(r.T, text)
	result := nettest.Run(r.T, nettest.Command{
		Path: harness.Program(r.T), Args: []string{"reload", "--admin", r.Admin},
		Timeout: harness.Patience,
	})
	if result.ExitCode != status {
		r.T.Fatalf("reload: exit status %d, want %d: %s%s", result.ExitCode, status, result.Stdout, result.Stderr)
	}
	return result.Stdout + result.Stderr
}

// serving serves a text by HTTP.
func serving(t *testing.T, text string) string {
	t.Helper()
	return harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
	})
}

func wantAll(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("no %q in:\n%s", w, got)
		}
	}
}

// TestReloadUnderLoad: a backend is swapped and a listener added while 200 clients connect each
// second; none is refused or left without an answer, and earlier sessions resume.
func TestReloadUnderLoad(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	addr, added := nettest.FreeAddr(t), nettest.FreeAddr(t)
	https := func(addr string) string { return "https = " + addr + "," + cert.CertFile + "," + cert.KeyFile + "\n" }
	const context = "https-session-context = here\n"
	s := startReloadable(t, context+https(addr)+"http-to = http://"+serving(t, "old")+"\n")
	before := newReturning(t, addr, pki)
	clients := harness.StartTraffic(t, addr, harness.ClientConfig(pki))
	clients.Await(100)
	said := s.reload(context+https(addr)+https(added)+"http-to = http://"+serving(t, "new")+"\n", 0)
	wantAll(t, said, "listeners: +"+added, "pools: ~http/default", "options: https http-to")
	clients.Await(100)
	for _, r := range before {
		for _, at := range []string{addr, added} {
			if !r.resumes(t, at) {
				t.Errorf("a session of TLS %04x does not resume at %s", r.version, at)
			}
		}
	}
	for range 10 {
		if _, body, err := harness.Fetch(before[1].client, "GET", "https://"+added+"/", nil); err != nil || body != "new" {
			t.Errorf("got %q, %v from the backend that was swapped in", body, err)
		}
	}
	clients.End()
}

// TestReloadInAFleet: the same at one of two nodes that share sessions, under a secret that
// comes from the first listener's key, which is another listener's after the reload.
func TestReloadInAFleet(t *testing.T) {
	pki := testpki.New(t)
	cert, other := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1"), pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	ports := []int{nettest.FreePort(t), nettest.FreePort(t)}
	text := func(i int, addr, backend string) string {
		return fmt.Sprintf("https = %s,%s,%s\nhttp-to = http://%s\nhttps-session-context = fleet\ncache-udp-server = 127.0.0.1:%d\ncache-udp-node = 127.0.0.1:%d\ncache-lookup-timeout = 2s\n",
			addr, cert.CertFile, cert.KeyFile, backend, ports[i], ports[1-i])
	}
	addrs := []string{nettest.FreeAddr(t), nettest.FreeAddr(t)}
	backend := serving(t, "old")
	s := startReloadable(t, text(0, addrs[0], backend))
	peer := startReloadable(t, text(1, addrs[1], backend))
	nettest.Eventually(t, harness.Patience, func() bool {
		return len(s.Shared().Replication.Peers) == 1 && len(peer.Shared().Replication.Peers) == 1
	}, "the nodes know each other")
	before := append(newReturning(t, addrs[0], pki), newReturning(t, addrs[1], pki)...)
	clients := harness.StartTraffic(t, addrs[0], harness.ClientConfig(pki))
	clients.Await(50)
	added := nettest.FreeAddr(t)
	// The new listener stands before the one whose key has made the secret.
	s.reload("https = "+added+","+other.CertFile+","+other.KeyFile+"\n"+text(0, addrs[0], serving(t, "new")), 0)
	clients.Await(50)
	before = append(before, newReturning(t, addrs[0], pki)...)
	for i, r := range before {
		for _, at := range append(addrs, added) {
			if !r.resumes(t, at) {
				t.Errorf("session %d, of TLS %04x, does not resume at %s", i, r.version, at)
			}
		}
	}
	clients.End()
	if !strings.Contains(s.Stderr(), "the secret of the fleet still comes from the key that was the first one") {
		t.Error("not told that the secret would be another after a restart")
	}
}

// TestReloadRemovesListener: connections of a removed listener end when they would have, and new
// ones are refused.
func TestReloadRemovesListener(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	stays, goes := nettest.FreeAddr(t), nettest.FreeAddr(t)
	line := func(addr string) string {
		return "sslrouter = " + addr + "," + cert.CertFile + "," + cert.KeyFile + "\n"
	}
	rest := "sslrouter-to = " + nettest.Serve(t, nettest.Echo).Addr + "\n"
	s := startReloadable(t, line(stays)+line(goes)+rest)
	conn := harness.Connect(t, goes, harness.ClientConfig(pki))
	if err := harness.Ping(conn); err != nil {
		t.Fatal(err)
	}
	wantAll(t, s.reload(line(stays)+rest, 0), "listeners: -"+goes)
	if c, err := net.Dial("tcp", goes); err == nil {
		c.Close()
		t.Error("a new connection is not refused")
	}
	harness.Visit(t, stays, harness.ClientConfig(pki))
	for range 3 {
		if err := harness.Ping(conn); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		t.Errorf("at its end: %q, %v", rest, err)
	}
	s.AwaitIdle()
	s.reload(line(stays)+line(goes)+rest, 0)
	harness.Visit(t, goes, harness.ClientConfig(pki))
}

// TestReloadSwapsBackends: clients that keep their connections get the new backend with their
// next request, and no request fails.
func TestReloadSwapsBackends(t *testing.T) {
	addr := nettest.FreeAddr(t)
	backends := []string{serving(t, "0"), serving(t, "1")}
	text := func(i int) string {
		return fmt.Sprintf("http = %s\nhttp-to = http://%s\nhttp-pool = api to=http://%s\nhttp-use-pool = api path=/api\nadd-header = X-Round: %d\n",
			addr, backends[i%2], backends[(i+1)%2], i)
	}
	s := startReloadable(t, text(0))
	type client struct {
		net.Conn
		r *bufio.Reader
	}
	var clients []client
	for range 20 {
		conn := harness.DialRaw(t, addr)
		clients = append(clients, client{conn, bufio.NewReader(conn)})
	}
	for round := range 6 {
		if round > 0 {
			s.reload(text(round), 0)
		}
		for i, c := range clients {
			path := []string{"/", "/api"}[i%2]
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatalf("round %d, client %d: %v", round, i, err)
			}
			body, _ := io.ReadAll(resp.Body)
			want, shown := fmt.Sprint((round+i)%2), resp.Header.Get("X-Round")
			if string(body) != want || shown != fmt.Sprint(round) || resp.Close {
				t.Errorf("round %d, client %d: got %q of round %s, close %v; want %q", round, i, body, shown, resp.Close, want)
			}
		}
	}
	if d := s.Document(); d.Engine.Flows.Accepted != 20 {
		t.Errorf("%d connections, want 20", d.Engine.Flows.Accepted)
	}
}

// TestReloadBroken: after an error nothing changes; the command reports it and ends with status 2,
// and the metrics show it.
func TestReloadBroken(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr, added, old := nettest.FreeAddr(t), nettest.FreeAddr(t), serving(t, "old")
	good := "https = " + addr + "," + cert.CertFile + "," + cert.KeyFile + "\nhttp-to = http://"
	s := startReloadable(t, good+old+"\n")
	client := harness.HTTPClient(t, harness.ClientConfig(pki), nil)
	for i, tt := range []struct{ name, more, want string }{
		{"syntax", "no equals sign, and a [\n", "edge.ini:5: "},
		{"unknown option", "idle-timeuot = 3s\n", `did you mean "idle-timeout"?`},
		{"bad value", "idle-timeout = soon\n", "edge.ini:5: "},
		{"missing certificate", "https = 127.0.0.1:0,/no/such.crt,/no/such.key\n", "/no/such.crt"},
		{"missing client CA", "sni = b.example " + cert.CertFile + "," + cert.KeyFile + ",,!/no/such.ca\n", "/no/such.ca"},
		{"missing secret", "cluster-secret-file = /no/such.secret\n", "/no/such.secret"},
		{"no such host", "http-pool = a to=http://no.such.host.invalid:1\nhttp-use-pool = a path=/a\n", "no.such.host.invalid"},
		{"address in use", "http = " + taken.Addr().String() + "\n", "address already in use"},
		{"no address of ours", "http = 192.0.2.1:1\n", "no interface has this address"},
		{"no directory for the log", "access-log = /no/such/dir/log\n", "/no/such/dir/log"},
		{"an application", "module = app:app\n", "takes a restart"},
	} {
		// With it, valid changes are not taken over either.
		said := s.reload(good+serving(t, "new")+"\nhttp = "+added+"\n"+tt.more, 2)
		wantAll(t, said, tt.want)
		if _, body, err := harness.Fetch(client, "GET", "https://"+addr+"/", nil); err != nil || body != "old" {
			t.Errorf("%s: got %q, %v afterwards", tt.name, body, err)
		}
		if c, err := net.Dial("tcp", added); err == nil {
			c.Close()
			t.Errorf("%s: a listener was added", tt.name)
		}
		wantAll(t, harness.Scrape(t, s.Admin), "reprise_reload_last_ok 0\n", fmt.Sprintf("reprise_reload_failed_total %d\n", i+1), "reprise_reload_done_total 0\n")
	}
	s.reload(good+serving(t, "new")+"\nhttp = "+added+"\n", 0)
	if _, body, err := harness.Fetch(client, "GET", "http://"+added+"/", nil); err != nil || body != "new" {
		t.Errorf("at last: got %q, %v", body, err)
	}
	wantAll(t, harness.Scrape(t, s.Admin), "reprise_reload_last_ok 1\n", "reprise_reload_done_total 1\n")
}

// TestReloadOneFile: a certificate that cannot be read harms only itself, and the command says
// so with its status.
func TestReloadOneFile(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	addr := nettest.FreeAddr(t)
	text := "https = " + addr + "," + cert.CertFile + "," + cert.KeyFile + "\nhttp-to = http://"
	s := startReloadable(t, text+serving(t, "old")+"\n")
	said := s.reload(text+serving(t, "new")+"\nsni = b.example /no/such.crt,/no/such.key\n", 2)
	wantAll(t, said, "1 refused", "pools: ~http/default", "/no/such.crt")
	if _, body, err := harness.Fetch(harness.HTTPClient(t, harness.ClientConfig(pki), nil), "GET", "https://"+addr+"/",
		nil); err != nil || body != "new" {
		t.Errorf("got %q, %v", body, err)
	}
}

// TestReloadNamesRestart: the command names options that need a restart, and takes over the rest.
func TestReloadNamesRestart(t *testing.T) {
	addr := nettest.FreeAddr(t)
	s := startReloadable(t, "http = "+addr+"\nhttp-to = http://"+serving(t, "old")+"\n")
	said := s.reload("http = "+addr+"\nhttp-to = http://"+serving(t, "new")+"\ncpu-affinity = true\nname = other\nlog-level = debug\n", 0)
	wantAll(t, said, "needs a restart: cpu-affinity: was false, is true", "needs a restart: name: was not set, is other", "options: http-to log-level")
	if _, body, err := harness.Fetch(http.DefaultClient, "GET", "http://"+addr+"/", nil); err != nil || body != "new" {
		t.Errorf("got %q, %v", body, err)
	}
	r := nettest.Run(t, nettest.Command{
		Path: harness.Program(t),
		Args: []string{"reload", "--admin", nettest.FreeAddr(t)}, Timeout: harness.Patience,
	})
	if r.ExitCode != 1 || !strings.Contains(r.Stderr, "is it the admin address of a running node?") {
		t.Errorf("nobody there: exit status %d, %q", r.ExitCode, r.Stderr)
	}
}

// TestReloadLeaksNothing: after a hundred reloads that swap everything possible, a node has as many
// descriptors, goroutines and bytes as after ten.
func TestReloadLeaksNothing(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	dir := t.TempDir()
	addr, extra := nettest.FreeAddr(t), nettest.FreeAddr(t)
	backends := []string{serving(t, "0"), serving(t, "1")}
	text := func(i int) string {
		text := fmt.Sprintf("https = %s,%s,%s\nhttp-to = http://%s\nhttp-check = tcp\nadd-header = X-Round: %d\naccess-log = %s/log%d\n",
			addr, cert.CertFile, cert.KeyFile, backends[i%2], i, dir, i%2)
		if i%2 == 0 {
			text += "http = " + extra + "\nhttp = " + dir + "/socket\nhttp-pool = api to=http://" + backends[1] + "\nhttp-use-pool = api path=/api\n"
		}
		return text
	}
	s := startReloadable(t, text(0))
	client := harness.HTTPClient(t, harness.With(harness.ClientConfig(pki), harness.NoResumption),
		func(tr *http.Transport) { tr.DisableKeepAlives = true })
	round := func(i int) {
		if i%5 == 0 { // all is prepared, and discarded
			s.reload(text(i+1)+"http = "+dir+"/new\nhttp = "+addr+"\nhttp = 192.0.2.1:1\n", 2)
		}
		s.write(t, text(i))
		resp, err := s.Post("/reload")
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("reload %d: %s", i, said)
		}
		for _, path := range []string{"/", "/api"} {
			if _, body, err := harness.Fetch(client, "GET", "https://"+addr+path, nil); err != nil || body == "" {
				t.Fatalf("reload %d: got %q, %v", i, body, err)
			}
		}
	}
	for i := 1; i <= 10; i++ {
		round(i)
	}
	d, g, m := s.footprint()
	for i := 11; i <= 110; i++ {
		round(i)
	}
	d2, g2, m2 := s.footprint()
	t.Logf("descriptors %d, then %d; goroutines %d, then %d; bytes in use %d, then %d", d, d2, g, g2, m, m2)
	if d2 > d+4 || g2 > g+4 {
		t.Errorf("%d descriptors and %d goroutines, were %d and %d", d2, g2, d, g)
	}
	if grown := m2 - m; grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

// footprint is the resources of the idle process.
func (r *reloadable) footprint() (descriptors, goroutines, memory int) {
	r.AwaitIdle()
	http.DefaultClient.CloseIdleConnections()
	nettest.Eventually(r.T, harness.Patience, func() bool { // what was asked last ends
		before := harness.GoroutineLen(r.T, r.Server)
		return harness.GoroutineLen(r.T, r.Server) == before
	}, "the number of goroutines stands still")
	return r.DescriptorLen(), harness.GoroutineLen(r.T, r.Server), heapLen(r.T, r.Server)
}

// heapLen returns the bytes in use after a collection.
func heapLen(t *testing.T, s *harness.Server) int {
	t.Helper()
	s.Get("/debug/pprof/heap?gc=1")
	_, text := s.Get("/debug/pprof/heap?gc=1&debug=1")
	for line := range strings.Lines(text) {
		var n int
		if _, err := fmt.Sscanf(line, "# HeapInuse = %d", &n); err == nil {
			return n
		}
	}
	t.Fatal("no HeapInuse in the profile")
	return 0
}

// TestReloadOfPolicy: a client that began its handshake before a reload requires client
// certificates is served by the earlier backends, not by those behind the new policy.
func TestReloadOfPolicy(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	addr := nettest.FreeAddr(t)
	text := func(policy, backend string) string {
		return "sslrouter = " + addr + "," + cert.CertFile + "," + cert.KeyFile + policy + "\nsslrouter-to = " + backend + "\n"
	}
	s := startReloadable(t, text("", nettest.Serve(t, harness.SayText("open")).Addr))
	early := harness.DialRaw(t, addr)
	s.Await("it is accepted", func(d harness.Document) bool { return d.Engine.Flows.Open == 1 })
	said := s.reload(text(",,!"+pki.CAFile, nettest.Serve(t, harness.SayText("secret")).Addr), 0)
	wantAll(t, said, "pools: ~sslrouter/default")
	conn := tls.Client(early, harness.ClientConfig(pki))
	if got := harness.FirstLine(conn); got != "open" {
		t.Errorf("who came before got %q", got)
	}
	late, err := harness.Handshake(addr, harness.ClientConfig(pki))
	if err == nil {
		got, err := io.ReadAll(late) // TLS 1.3 tells with the first data
		if len(got) > 0 || err == nil {
			t.Errorf("without a certificate: got %q, %v", got, err)
		}
		late.Close()
	}
	// A file that is broken at the same time fails the whole reload.
	said = s.reload(text("", nettest.Serve(t, harness.SayText("open again")).Addr)+"sni = b.example /no/such.crt,/no/such.key\n", 2)
	wantAll(t, said, "not reloaded", "/no/such.crt")
}

// TestReloadOfLostPolicy: a name that asks for client certificates is not served by the policy
// of others because the file that its certificate has moved to cannot be read.
func TestReloadOfLostPolicy(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	addr := nettest.FreeAddr(t)
	text := func(file string) string {
		return "sslrouter = " + addr + "," + cert.CertFile + "," + cert.KeyFile + "\nsni = b.example " + file + "," + cert.KeyFile + ",,!" + pki.CAFile +
			"\nsslrouter-pool = b to=" + nettest.FreeAddr(t) + "\nsslrouter-use-pool = b sni=b.example\nsslrouter-to = " + nettest.FreeAddr(t) + "\n"
	}
	s := startReloadable(t, text(cert.CertFile))
	wantAll(t, s.reload(text("/no/such.crt"), 2), "not reloaded", "/no/such.crt")
	config := harness.With(harness.ClientConfig(pki), func(c *tls.Config) {
		c.ServerName, c.InsecureSkipVerify, c.MaxVersion = "b.example", true, tls.VersionTLS12
	})
	if conn, err := harness.Handshake(addr, config); err == nil {
		conn.Close()
		t.Error("b.example is served without a certificate")
	}
}
