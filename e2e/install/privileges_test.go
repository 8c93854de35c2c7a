package install

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// daemon is a user and group that every Debian has.
const daemon = 1

// asRoot fails unless the test may become another user.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("CI runs this as root")
		}
		t.Skip("needs root")
	}
}

// A node is the program, started as root, with a configuration of its own.
type node struct {
	*nettest.Process
	t         *testing.T
	dir, file string
	addr      string
	cert      *testpki.Cert
	pki       *testpki.PKI
}

// startNode runs a node that has an https listener, and what lines say.
func startNode(t *testing.T, lines ...string) *node {
	t.Helper()
	pki := testpki.New(t)
	dir, err := os.MkdirTemp("", "reprise-install-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request,
	) {
		fmt.Fprint(w, "from the backend")
	}))
	t.Cleanup(backend.Close)
	n := &node{t: t, dir: dir, file: filepath.Join(dir, "edge.ini"), addr: nettest.FreeAddr(t), pki: pki}
	if n.cert, err = pki.Server(testpki.ECDSA, "localhost", "127.0.0.1").Write(dir, "site"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(n.cert.CertFile, 0o644); err != nil {
		t.Fatal(err)
	}
	base := []string{
		"[reprise]", "https = " + n.addr + "," + n.cert.CertFile + "," + n.cert.KeyFile, "http-to = http://" + backend.Listener.Addr().String(),
		"admin = " + filepath.Join(dir, "admin.sock"), "access-log = " + filepath.Join(dir, "access.log"), "watch = false",
	}
	n.write(append(base, lines...))
	command := nettest.Command{
		Path: copyOf(t, harness.Program(t), dir), Args: []string{n.file},
		Timeout: harness.Patience, Successors: true,
	}
	n.Process = nettest.Start(t, command, nettest.Prints(`msg=serving`))
	return n
}

func (n *node) write(lines []string) {
	n.t.Helper()
	if err := os.WriteFile(n.file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// add appends lines to the configuration.
func (n *node) add(lines ...string) {
	n.t.Helper()
	text, err := os.ReadFile(n.file)
	if err != nil {
		n.t.Fatal(err)
	}
	n.write(append([]string{strings.TrimSpace(string(text))}, lines...))
}

// get makes a request on a connection of its own.
func (n *node) get() string {
	n.t.Helper()
	return get(n.t, n.addr, &tls.Config{RootCAs: n.pki.CA.Pool(), ServerName: "localhost"})
}

// threads returns what /proc says of each thread of a process, by the names of its lines.
func threads(t *testing.T, pid int) (list []map[string]string) {
	t.Helper()
	files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
	if err != nil || len(files) < 2 {
		t.Fatalf("threads: %q, %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if os.IsNotExist(err) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		said := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			said[name] = strings.Join(strings.Fields(value), " ")
		}
		list = append(list, said)
	}
	return list
}

// wantDropped checks that no thread of a process has any privilege of root.
func wantDropped(t *testing.T, pid int, groups string) {
	t.Helper()
	for _, said := range threads(t, pid) {
		for name, want := range map[string]string{
			"Uid": "1 1 1 1", "Gid": "1 1 1 1", "Groups": groups,
			"CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapAmb": "0000000000000000",
		} {
			if said[name] != want {
				t.Errorf("process %d: %s %q, want %q", pid, name, said[name], want)
			}
		}
	}
}

// TestDrop: files and addresses that need root are read and bound, and then every thread is the
// user's. A log can be reopened; a reload names what it cannot read or bind, and goes on.
func TestDrop(t *testing.T) {
	asRoot(t)
	n := startNode(t, "user = daemon", "http-to-https = 127.0.0.1:"+strconv.Itoa(lowPort(t)))
	wantDropped(t, n.Pid(), "1")
	if got := n.get(); got != "from the backend" {
		t.Errorf("got %q", got)
	}
	n.Match(`files that root could read and the user cannot.* files=.*` + regexp.QuoteMeta(n.cert.KeyFile)) // which is 0600
	if err := os.Chown(n.dir, daemon, daemon); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(n.dir, "access.log"), filepath.Join(n.dir, "access.log.1")); err != nil {
		t.Fatal(err)
	}
	n.Signal(syscall.SIGUSR1)
	nettest.Eventually(t, harness.Patience, func() bool {
		info, err := os.Stat(filepath.Join(n.dir, "access.log"))
		return err == nil && info.Sys().(*syscall.Stat_t).Uid == daemon
	}, "no access log of the user's")

	told := run(t, 2, harness.Program(t), "reload", "--config", n.file)
	if !strings.Contains(told, "cannot read "+n.cert.KeyFile) || !strings.Contains(told, "permission denied") {
		t.Errorf("a reload does not say what it cannot read: %s", told)
	}
	if err := os.Chown(n.cert.KeyFile, daemon, daemon); err != nil {
		t.Fatal(err)
	}
	if told = run(t, 0, harness.Program(t), "reload", "--config", n.file); strings.Contains(told, "permission denied") {
		t.Errorf("a reload of a file that is the user's: %s", told)
	}
	port := strconv.Itoa(lowPort(t))
	n.add("http = 127.0.0.1:" + port)
	if told = run(t, 2, harness.Program(t), "reload", "--config", n.file); !strings.Contains(told, "127.0.0.1:"+port+": bind: permission denied: ports below 1024 need") {
		t.Errorf("a reload does not say what it cannot bind: %s", told)
	}
	if got := n.get(); got != "from the backend" {
		t.Errorf("got %q", got)
	}
}

// TestUpgradeAfterDrop: a successor is the user's from its beginning, and has the ports that only
// root could bind.
func TestUpgradeAfterDrop(t *testing.T) {
	asRoot(t)
	n := startNode(t, "user = 1", "group = daemon", "http-to-https = 127.0.0.1:"+strconv.Itoa(lowPort(t)))
	told := nettest.Run(t, nettest.Command{
		Path: harness.Program(t), Args: []string{"upgrade", "--config", n.file},
		Timeout: harness.Patience,
	})
	if told.ExitCode == 0 || !strings.Contains(told.Stderr, n.cert.KeyFile) {
		t.Errorf("an upgrade does not say what it cannot read: %s%s", told.Stdout, told.Stderr)
	}
	if got := n.get(); got != "from the backend" {
		t.Errorf("after an upgrade that failed: got %q", got)
	}
	if err := os.Chown(n.cert.KeyFile, daemon, daemon); err != nil {
		t.Fatal(err)
	}
	said := run(t, 0, harness.Program(t), "upgrade", "--config", n.file)
	found := regexp.MustCompile(`process (\d+) has taken over`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("upgrade: %s", said)
	}
	pid, _ := strconv.Atoi(found[1])
	wantDropped(t, pid, "1")
	if got := n.get(); got != "from the backend" {
		t.Errorf("after an upgrade: got %q", got)
	}
}

// TestWrongUser: an impossible user is reported in one line, before anything is served.
func TestWrongUser(t *testing.T) {
	asRoot(t)
	cert := testpki.New(t).Server(testpki.ECDSA, "localhost")
	base := []string{"--https", "127.0.0.1:0," + cert.CertFile + "," + cert.KeyFile, "--http-to", "127.0.0.1:9"}
	for _, test := range []struct{ args, want string }{
		{"--user=nobody-of-that-name", `there is no user of that name on this machine`},
		{"--user=123456", `no user has this number: add group`},
		{"--user=daemon --chroot=srv", `"srv": write an absolute path`},
		{"--user=daemon --chroot=/nowhere", `there is no such directory: make it`},
		{"--user=daemon --group=no-such-group", `there is no group "no-such-group"`},
		{"--user=daemon --module=app:application", `start Reprise as that user`},
	} {
		for _, command := range [][]string{{"check"}, nil} {
			args := append(append(command, base...), strings.Fields(test.args)...)
			if told := run(t, 2, harness.Program(t), args...); !strings.Contains(told, test.want) {
				t.Errorf("%s: want %q in %q", test.args, test.want, told)
			}
		}
	}
	// A user that is not root cannot become another.
	dir, err := os.MkdirTemp("", "reprise-install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	own, err := cert.Write(dir, "own")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{dir, own.CertFile, own.KeyFile} {
		if err := os.Chown(f, daemon, daemon); err != nil {
			t.Fatal(err)
		}
	}
	told := run(t, 2, "setpriv", "--reuid=1", "--regid=1", "--clear-groups", copyOf(t, harness.Program(t), dir),
		"--https", "127.0.0.1:0,"+own.CertFile+","+own.KeyFile, "--http-to", "127.0.0.1:9", "--user=nobody")
	if !strings.Contains(told, "only root can go on as another user") {
		t.Errorf("got %q", told)
	}
}

// copyOf returns a copy of the program that other users can run.
func copyOf(t *testing.T, program, dir string) string {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "reprise")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestChroot: the process sees nothing but its directory any more. A reload says what is not
// there, and takes it over when it is.
func TestChroot(t *testing.T) {
	asRoot(t)
	root := t.TempDir()
	n := startNode(t, "user = daemon", "chroot = "+root)
	wantDropped(t, n.Pid(), "1")
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/root", n.Pid())); err != nil || got != root {
		t.Errorf("its root is %s, %v; want %s", got, err, root)
	}
	if got := n.get(); got != "from the backend" {
		t.Errorf("got %q", got)
	}
	if told := run(t, 2, harness.Program(t), "reload", "--config", n.file); !strings.Contains(told, n.file) {
		t.Errorf("a reload does not say what it cannot find: %s", told)
	}
	within := filepath.Join(root, n.dir)
	if err := os.MkdirAll(within, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := within; dir != root; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{n.file, n.cert.CertFile, n.cert.KeyFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, 0, harness.Program(t), "reload", "--config", n.file)
	if got := n.get(); got != "from the backend" {
		t.Errorf("after a reload: got %q", got)
	}
}
