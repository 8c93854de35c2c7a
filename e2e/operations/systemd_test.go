package operations

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"

	"golang.org/x/sys/unix"
)

// A manager replaces systemd: it receives notifications of services, and keeps descriptors.
type manager struct {
	t    *testing.T
	path string
	done chan struct{}

	mu     sync.Mutex // guards what follows
	said   []string
	stored []storedFile
}

type storedFile struct {
	name string
	fd   int
}

// newManager listens until the test ends.
func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, path: filepath.Join(dir, "socket"), done: make(chan struct{})}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	go m.listen(c)
	t.Cleanup(func() {
		c.Close()
		<-m.done
		os.RemoveAll(dir)
		for _, f := range m.stored {
			unix.Close(f.fd)
		}
	})
	return m
}

func (m *manager) listen(c *net.UnixConn) {
	defer close(m.done)
	b, rights := make([]byte, 4096), make([]byte, 4096)
	for {
		n, rightsLen, _, _, err := c.ReadMsgUnix(b, rights)
		if err != nil {
			return
		}
		var fds []int
		if messages, err := unix.ParseSocketControlMessage(rights[:rightsLen]); err == nil {
			for i := range messages {
				more, _ := unix.ParseUnixRights(&messages[i])
				fds = append(fds, more...)
			}
		}
		m.hear(string(b[:n]), fds)
	}
}

func (m *manager) hear(text string, fds []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said = append(m.said, text)
	lines := strings.Split(text, "\n")
	name, isNamed := strings.CutPrefix(lines[len(lines)-1], "FDNAME=")
	if isNamed && (strings.Contains(name, ":") || len(name) > 255) {
		m.t.Errorf("systemd takes no descriptor named %q", name)
	}
	switch lines[0] {
	case "FDSTORE=1":
		for _, fd := range fds {
			m.stored = append(m.stored, storedFile{name, fd})
		}
		return
	case "FDSTOREREMOVE=1":
		m.stored = slices.DeleteFunc(m.stored, func(f storedFile) bool {
			if f.name == name {
				unix.Close(f.fd)
			}
			return f.name == name
		})
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// has reports whether a service has sent a notification that begins with a text and contains
// another.
func (m *manager) has(prefix string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.said, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

// await waits until a service has.
func (m *manager) await(prefix string) {
	m.t.Helper()
	nettest.Eventually(m.t, harness.Patience, func() bool { return m.has(prefix) }, "the service says %s", prefix)
}

// command runs the program as a service that gets the stored descriptors, or files of a socket
// unit.
func (m *manager) command(files ...*os.File) nettest.Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for range files {
		names = append(names, "unit.socket")
	}
	for _, f := range m.stored {
		fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			m.t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), f.name)
		m.t.Cleanup(func() { file.Close() })
		names, files = append(names, f.name), append(files, file)
	}
	return nettest.Command{
		Path: harness.Program(m.t), Files: files, Successors: true,
		Env: []string{
			"NOTIFY_SOCKET=" + m.path, "FDSTORE=1024", "WATCHDOG_USEC=200000",
			fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES=" + strings.Join(names, ":"),
		},
	}
}

// start runs the program as a service.
func (m *manager) start(c nettest.Command, args ...string) *harness.Server {
	m.t.Helper()
	// Only the process itself knows the number that LISTEN_PID must have.
	c.Args = []string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, c.Path}
	c.Path = "/bin/sh"
	return harness.StartCommand(m.t, c, args...)
}

// TestRestartBySystemd: a service that is restarted leaves its sockets and sessions to the
// next process by systemd's store. Clients wait, and none is refused.
func TestRestartBySystemd(t *testing.T) {
	pki := testpki.New(t)
	m := newManager(t)
	args := []string{
		harness.HTTPS(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")), harness.HTTPTo(harness.ServeHTTP(t, page)),
		"--cache-udp-server=127.0.0.1:0",
	}
	s := m.start(m.command(), args...)
	m.await("READY=1")
	m.await("WATCHDOG=1")
	before := newReturning(t, s.Addr(), pki)
	clients := harness.StartTraffic(t, s.Addr(), harness.ClientConfig(pki))
	for range 3 {
		clients.Await(50)
		s.Signal(syscall.SIGTERM)
		if code := s.Wait(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		m.await("STOPPING=1")
		addr := s.Addr()
		s = m.start(m.command(), args...)
		if s.Addr() != addr {
			t.Fatalf("it is at %s, was at %s", s.Addr(), addr)
		}
		clients.Await(50)
		for _, r := range before {
			if !r.resumes(t, s.Addr()) {
				t.Errorf("a session of TLS %04x does not resume", r.version)
			}
		}
		m.mu.Lock()
		if len(m.stored) > 0 {
			t.Errorf("%d descriptors stay in the store", len(m.stored))
		}
		m.mu.Unlock()
	}
	clients.End()
	s.Signal(syscall.SIGHUP)
	m.await("RELOADING=1\nMONOTONIC_USEC=")
	pid := s.Upgrade()
	m.await(fmt.Sprintf("MAINPID=%d", pid))
	nettest.Eventually(t, harness.Patience, func() bool { return s.Logged(`"msg":"stopped"`) == 1 }, "the old process ends")
	m.mu.Lock()
	m.said = nil
	m.mu.Unlock()
	m.await("WATCHDOG=1") // of the new one
}

// TestRestartBySystemdInAFleet: the same, of one node. Sessions of any node resume at any.
func TestRestartBySystemdInAFleet(t *testing.T) {
	f := harness.NewFleet(t, 2, "push", harness.PatientLookup)
	m := newManager(t)
	f.Run(1)
	f.Nodes[0] = m.start(m.command(), f.Args(0)...)
	f.AwaitIntroduced()
	clients := clientsOfAll(t, f)
	f.AwaitPushed()
	id := f.Nodes[0].Shared().ShortID()
	f.Nodes[0].Signal(syscall.SIGTERM)
	f.Nodes[0].Wait()
	f.Nodes[0] = m.start(m.command(), f.Args(0)...)
	if got := f.Nodes[0].Shared().ShortID(); got != id {
		t.Errorf("the node is %s now, was %s", got, id)
	}
	for i, c := range clients {
		for _, s := range f.Nodes {
			if !harness.Visit(t, s.Addr(), c).DidResume {
				t.Errorf("session %d does not resume at %s", i, s.Addr())
			}
		}
	}
	f.AwaitIntroduced()
	if r := f.ForgetAt(1, "--all"); r.ExitCode != 0 {
		t.Errorf("forget: exit code %d, %q", r.ExitCode, r.Stdout+r.Stderr)
	}
	f.Nodes[0].Signal(syscall.SIGTERM)
	f.Nodes[0].Wait()
	f.Nodes[0] = m.start(m.command(), f.Args(0)...)
	for _, c := range clients {
		harness.WantResumed(t, f.Nodes[0].Addr(), c, false)
	}
	// A drained node is gone for good: it leaves nothing, and no peer waits for it.
	f.AwaitIntroduced()
	r := nettest.Run(t, nettest.Command{
		Path: harness.Program(t), Args: []string{"drain", "--admin", f.Nodes[0].Admin},
		Timeout: harness.Patience,
	})
	if r.ExitCode != 0 {
		t.Errorf("drain: exit code %d, %q", r.ExitCode, r.Stdout+r.Stderr)
	}
	f.Nodes[0].Wait()
	m.mu.Lock()
	if len(m.stored) > 0 {
		t.Errorf("a node that was drained leaves %d descriptors", len(m.stored))
	}
	m.mu.Unlock()
}

// TestSocketActivation: sockets that systemd has opened are served, also by more loops
// than there are sockets.
func TestSocketActivation(t *testing.T) {
	pki := testpki.New(t)
	m := newManager(t)
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		t.Cleanup(func() { file.Close() })
		files, addrs = append(files, file), append(addrs, l.Addr().String())
	}
	cert := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	listener := func(addr string) string { return strings.Replace(harness.HTTPS(cert), "127.0.0.1:0", addr, 1) }
	s := m.start(m.command(files...), listener(addrs[0]), listener(addrs[1]), "--http-processes=3",
		harness.HTTPTo(harness.ServeHTTP(t, page)))
	for i, addr := range addrs {
		if s.Addresses[i] != addr {
			t.Errorf("it is at %s, want %s", s.Addresses[i], addr)
		}
		clients := harness.StartTraffic(t, addr, harness.ClientConfig(pki))
		clients.Await(20)
		clients.End()
	}
	if status, _ := s.Get("/readyz"); status != http.StatusOK {
		t.Errorf("readyz: got %d", status)
	}
}
