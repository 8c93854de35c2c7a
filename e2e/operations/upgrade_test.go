package operations

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/handover"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// startUpgradable runs the program so that successors may go on after it.
func startUpgradable(t *testing.T, args ...string) *harness.Server {
	t.Helper()
	return harness.StartCommand(t, nettest.Command{Path: harness.Program(t), Successors: true},
		args...)
}

// A fixedSession is a client's memory with the first session that it got.
type fixedSession struct{ session *tls.ClientSessionState }

func (c *fixedSession) Get(string) (*tls.ClientSessionState, bool) {
	return c.session, c.session != nil
}

func (c *fixedSession) Put(_ string, s *tls.ClientSessionState) {
	if c.session == nil && s != nil {
		c.session = s
	}
}

// A returning client has made a session by a version of TLS, and always offers that one.
type returning struct {
	version uint16
	client  *http.Client
}

// newReturning makes sessions at addr.
func newReturning(t *testing.T, addr string, pki *testpki.PKI) (list []returning) {
	t.Helper()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := harness.With(harness.ClientConfig(pki), func(c *tls.Config) {
			c.MaxVersion, c.ClientSessionCache = version, new(fixedSession)
		})
		r := returning{version, harness.HTTPClient(t, config,
			func(tr *http.Transport) { tr.DisableKeepAlives = true })}
		if r.resumes(t, addr) {
			t.Error("a first visit resumes")
		}
		list = append(list, r)
	}
	return list
}

// resumes reports whether a visit does.
func (r returning) resumes(t *testing.T, addr string) bool {
	t.Helper()
	resp, body, err := harness.Fetch(r.client, "GET", "https://"+addr+"/", nil)
	if err != nil || resp.StatusCode != http.StatusOK || body == "" {
		t.Fatalf("got %v, %q, %v", resp, body, err)
	}
	return resp.TLS.DidResume
}

// actorRole says how this program behaves when it runs in place of a successor.
const actorRole = "REPRISE_TEST_ACTOR"

// actor is the line of a script that runs this program so.
func actor(role string) string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return actorRole + "=" + role + " exec " + path
}

func TestMain(m *testing.M) {
	if role := os.Getenv(actorRole); role != "" {
		os.Exit(act(role))
	}
	os.Exit(m.Run())
}

// act is a successor that takes everything and does not begin.
func act(role string) int {
	before, err := handover.Predecessor()
	if err != nil || before == nil {
		return 3
	}
	if m, err := before.Receive(harness.Patience); err != nil || m.Kind != "sockets" {
		return 4
	}
	if before.Send(handover.Message{Kind: "ready"}, harness.Patience) != nil {
		return 5
	}
	if m, err := before.Receive(harness.Patience); err != nil || m.Kind != "estate" {
		return 6
	}
	if role == "hang" {
		select {}
	}
	return 9
}

// page answers all requests with a page.
func page(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("page")) }

// A keeper is a client that keeps its connection, and makes requests that must not be made
// twice, until it is ended.
type keeper struct {
	stop, done chan struct{}
	answered   int
	err        error
}

func startKeeper(t *testing.T, addr string, config *tls.Config,
	change func(*http.Transport),
) *keeper {
	k := &keeper{stop: make(chan struct{}), done: make(chan struct{})}
	client := harness.HTTPClient(t, config, change)
	go func() {
		defer close(k.done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for ; k.err == nil; k.answered++ {
			select {
			case <-k.stop:
				return
			case <-ticker.C:
			}
			var resp *http.Response
			if resp, _, k.err = harness.Fetch(client, "POST", "https://"+addr+"/", strings.NewReader("order")); k.err == nil &&
				resp.StatusCode != http.StatusOK {
				k.err = fmt.Errorf("got %s", resp.Status)
			}
		}
	}()
	t.Cleanup(func() { k.finish() })
	return k
}

func (k *keeper) finish() {
	select {
	case <-k.stop:
	default:
		close(k.stop)
	}
	<-k.done
}

// TestUpgrade: the program is replaced three times in a row while clients connect. None is refused
// or left without an answer, and earlier sessions resume.
func TestUpgrade(t *testing.T) {
	pki := testpki.New(t)
	s := startUpgradable(t, harness.HTTPS(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")),
		harness.HTTPTo(harness.ServeHTTP(t, page)))
	before := newReturning(t, s.Addr(), pki)
	clients := harness.StartTraffic(t, s.Addr(), harness.ClientConfig(pki))
	clients.Await(50)
	keepers := []*keeper{
		startKeeper(t, s.Addr(), harness.ClientConfig(pki), nil),
		startKeeper(t, s.Addr(), harness.ClientConfig(pki),
			func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true }),
	}
	last := s.Pid()
	for i := range 3 {
		pid := s.Upgrade()
		if pid == last {
			t.Fatal("the same process")
		}
		last = pid
		clients.Await(50)
		for _, r := range before {
			if !r.resumes(t, s.Addr()) {
				t.Errorf("upgrade %d: a session of TLS %04x does not resume", i+1, r.version)
			}
		}
	}
	nettest.Eventually(t, harness.Patience, func() bool { return s.Logged("the process before has no connections left") == 3 }, "old processes end")
	clients.End()
	for i, k := range keepers {
		if k.finish(); k.err != nil || k.answered == 0 {
			t.Errorf("HTTP/%d: after %d answers: %v", i+1, k.answered, k.err)
		}
	}
	if status, body := s.Get("/readyz"); status != http.StatusOK {
		t.Errorf("readyz: got %d %q, want 200", status, body)
	}
	if code := s.Wait(); code != 0 {
		t.Errorf("the first process: exit code %d", code)
	}
	syscall.Kill(last, syscall.SIGTERM)
	nettest.Eventually(t, harness.Patience, func() bool { return s.Logged(`"msg":"stopped"`) == 4 }, "the last process ends")
}

// TestUpgradeLeaksNoDescriptor: after ten upgrades a process has as many as after one.
func TestUpgradeLeaksNoDescriptor(t *testing.T) {
	pki := testpki.New(t)
	dir := t.TempDir()
	s := startUpgradable(
		t, harness.HTTPS(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")), "--http="+filepath.Join(dir,
			"http"), harness.HTTPTo(harness.ServeHTTP(t, page)),
		"--cache-udp-server=127.0.0.1:"+strconv.Itoa(nettest.FreePort(t)), "--http-subscription-server=127.0.0.1:"+strconv.Itoa(nettest.FreePort(t)),
	)
	var counts []int
	for range 10 {
		pid := s.Upgrade()
		n := len(counts) + 1
		nettest.Eventually(t, harness.Patience, func() bool { return s.Logged(`"msg":"stopped"`) == n }, "the process before ends")
		nettest.Eventually(t, harness.Patience, func() bool { return s.Logged("the process before has no connections left") == n }, "and is not heard")
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, len(list))
	}
	t.Logf("descriptors: %v", counts)
	if counts[9] > counts[0]+2 { // connections of this test's own
		t.Errorf("%v descriptors", counts)
	}
	if conn, err := nettest.Dial(filepath.Join(dir, "http")); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

// TestUpgradeFails: a new program that crashes, hangs or has a configuration that is wrong
// leaves the old process serving, with its sessions.
func TestUpgradeFails(t *testing.T) {
	pki := testpki.New(t)
	dir := t.TempDir()
	path, ini := filepath.Join(dir, "reprise"), filepath.Join(dir, "reprise.ini")
	script := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755) }
	}
	real := func(path string) error { return os.Symlink(harness.Program(t), path) }
	install(t, path, real)
	configure := func(more string) {
		t.Helper()
		if err := os.WriteFile(ini, []byte("[reprise]\nupgrade-timeout = 3s\n"+more), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure("")
	socket, taken := filepath.Join(dir, "http"), nettest.Serve(t, nettest.Echo).Addr
	s := harness.StartCommand(t, nettest.Command{Path: path, Successors: true}, ini, "--http="+socket,
		harness.HTTPS(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")), harness.HTTPTo(harness.ServeHTTP(t, page)))
	before := newReturning(t, s.Addr(), pki)
	clients := harness.StartTraffic(t, s.Addr(), harness.ClientConfig(pki))
	clients.Await(20)
	for _, tt := range []struct {
		name   string
		break_ func()
		want   string
	}{
		{"crash", func() { install(t, path, script("exit 7")) }, "exit status 7"},
		{"hang", func() { install(t, path, script("exec sleep 1000")) }, "not ready in time"},
		{"crash with the sessions", func() { install(t, path, script(actor("crash"))) }, "exit status 9"},
		{"hang with the sessions", func() { install(t, path, script(actor("hang"))) }, "not ready in time"},
		{"configuration", func() { install(t, path, real); configure("no-such-option = 1\n") }, "no-such-option"},
		{"address", func() { install(t, path, real); configure("http = " + taken + "\n") }, "cannot listen on " + taken},
		{"no program", func() { os.Remove(path) }, "no such file"},
	} {
		tt.break_()
		r := harness.Run(t, "upgrade", "--admin", s.Admin)
		if r.ExitCode != 1 || !strings.Contains(r.Stderr, tt.want) {
			t.Errorf("%s: exit code %d, %q, want 1 and %q", tt.name, r.ExitCode, r.Stderr, tt.want)
		}
		conn, err := nettest.Dial(socket)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		conn.Close()
		clients.Await(20)
		for _, r := range before {
			if !r.resumes(t, s.Addr()) {
				t.Errorf("%s: a session of TLS %04x does not resume", tt.name, r.version)
			}
		}
	}
	// The faults are fixed.
	configure("")
	install(t, path, real)
	s.Signal(syscall.SIGUSR2)
	s.Match(`"msg":"a successor has taken over"`)
	clients.Await(20)
	clients.End()
}

// install puts another program in the place of one.
func install(t *testing.T, path string, write func(path string) error) {
	t.Helper()
	if err := write(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestEndDuringUpgrade: a process that is told to end while its successor starts does not
// wait for it, and leaves none behind.
func TestEndDuringUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reprise")
	if err := os.Symlink(harness.Program(t), path); err != nil {
		t.Fatal(err)
	}
	s := harness.StartCommand(t, nettest.Command{Path: path, Successors: true}, "--http=127.0.0.1:0",
		harness.HTTPTo(harness.ServeHTTP(t, page)), "--upgrade-timeout=1h")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho $$ >"+mark+".new; mv "+mark+".new "+mark+"; exec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGUSR2)
	var pid int
	nettest.Eventually(t, harness.Patience, func() bool {
		b, _ := os.ReadFile(mark)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		return pid > 0
	}, "the successor starts")
	s.Signal(syscall.SIGTERM)
	if code := s.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	nettest.Eventually(t, harness.Patience,
		func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH }, "the successor is ended")
	if s.Logged("has not taken over") != 1 {
		t.Error("it is not said that the successor has not taken over")
	}
}

// TestUpgradeAfterReload: a successor has the listeners that a reload has added, and not
// those that it has removed.
func TestUpgradeAfterReload(t *testing.T) {
	pki := testpki.New(t)
	ini := filepath.Join(t.TempDir(), "edge.ini")
	cert := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	backend, added, removed := harness.ServeHTTP(t, page), nettest.FreeAddr(t), nettest.FreeAddr(t)
	configure := func(addr string) {
		t.Helper()
		text := fmt.Sprintf("[reprise]\nhttps = %s,%s,%s\nhttp-to = http://%s\n", addr, cert.CertFile, cert.KeyFile, backend)
		if err := os.WriteFile(ini, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure(removed)
	s := startUpgradable(t, ini)
	configure(added)
	postAdmin(t, s, "/reload")
	clients := harness.StartTraffic(t, added, harness.ClientConfig(pki))
	for range 2 {
		clients.Await(20)
		s.Upgrade()
	}
	clients.Await(20)
	clients.End()
	nettest.Eventually(t, harness.Patience, func() bool {
		c, err := nettest.Dial(removed)
		if err == nil {
			c.Close()
		}
		return err != nil
	}, "nobody is at the address that was removed")
}
