package documented

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// examples are the configurations that tests named TestDocumented run as they are.
const examples = "../../docs/examples"

// A reader has a copy of the examples, and follows their README in it.
type reader struct {
	t       *testing.T
	dir     string
	claimed bool // the addresses of the examples are its own
}

func newReader(t *testing.T) *reader {
	t.Helper()
	nettest.Need(t, "openssl")
	r := &reader{t: t, dir: t.TempDir()}
	if err := os.CopyFS(r.dir, os.DirFS(examples)); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(r.dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := "set -e\n"
	for _, block := range regexp.MustCompile("(?s)```\n(.*?)```").FindAllSubmatch(readme, -1) {
		script += string(block[1])
	}
	made := nettest.Run(t, nettest.Command{
		Path: "sh", Args: []string{"-c", script}, Dir: r.dir,
		Env: []string{"PATH=" + filepath.Dir(harness.Program(t)) + ":" + os.Getenv("PATH")},
	})
	if made.ExitCode != 0 {
		t.Fatalf("what README.md says:\n%s\n%s", script, made.Stderr)
	}
	return r
}

// claim claims the addresses for the reader.
func (r *reader) claim() {
	r.t.Helper()
	if !r.claimed {
		claimAddresses(r.t)
		r.claimed = true
	}
}

// claimAddresses waits until no other test uses the addresses of the examples, which are
// fixed. The claim is an abstract unix socket, as those of [nettest.FreePort]: seen
// wherever the addresses are the same, and gone with the process that made it.
func claimAddresses(t *testing.T) {
	t.Helper()
	var claim net.PacketConn
	nettest.Eventually(t, 5*harness.Patience, func() bool {
		var err error
		claim, err = net.ListenPacket("unixgram", "@reprise-test-documented")
		return err == nil
	}, "no other test uses the addresses of the examples")
	t.Cleanup(func() { claim.Close() })
}

// needLowPort skips the test where ports below 1024 need privileges.
func (r *reader) needLowPort(addr string) {
	r.t.Helper()
	r.claim()
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EACCES) && os.Getenv("CI") == "" {
		r.t.Skipf("%v: run as root or with CAP_NET_BIND_SERVICE", err)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	l.Close()
}

// run runs reprise to its end.
func (r *reader) run(args ...string) nettest.Result {
	r.t.Helper()
	return nettest.Run(r.t, nettest.Command{
		Path: harness.Program(r.t), Args: args, Dir: r.dir,
		Timeout: harness.Patience,
	})
}

// start runs reprise with an example until the test ends. It has a stats server at
// the address, which may be empty.
func (r *reader) start(file, stats string) *harness.Server {
	r.t.Helper()
	r.claim()
	p := nettest.Start(r.t, nettest.Command{
		Path: harness.Program(r.t), Args: []string{file}, Dir: r.dir, Timeout: harness.Patience,
		Grace: harness.Patience,
	}, nettest.Prints("msg=serving"))
	return &harness.Server{Process: p, T: r.t, Stats: stats}
}

// startBackends runs the three backends of the examples.
func (r *reader) startBackends() {
	r.t.Helper()
	nettest.Need(r.t, "uwsgi")
	r.claim()
	application := harness.WriteFile(r.t, "app.py", `
import os

def application(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s by %s\n" % (env["PATH_INFO"], os.environ["BACKEND"])).encode()]
`)
	for _, host := range []string{"127.0.0.10", "127.0.0.11", "127.0.0.12"} {
		addr := host + ":3031"
		nettest.Start(r.t, nettest.Command{
			Path: "uwsgi", Args: []string{"--plugin", "python3", "--uwsgi-socket", addr, "--wsgi-file", application, "--need-app"},
			Env: []string{"BACKEND=" + host}, StopSignal: syscall.SIGINT, Timeout: harness.Patience,
		}, nettest.Accepts(addr))
	}
}

// openssl makes a request with openssl s_client, which must be answered, and returns
// New or Reused, as that says. The memory is -sess_out or -sess_in.
func (r *reader) openssl(addr string, version uint16, memory string, more ...string) string {
	r.t.Helper()
	args := []string{
		"s_client", "-connect", addr, "-CAfile", "foobar.crt", "-verify_return_error", "-ign_eof", memory, "session.pem",
		map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}[version],
	}
	got := nettest.Run(r.t, nettest.Command{
		Path: "openssl", Args: append(args,
			more...), Dir: r.dir, Stdin: strings.NewReader("GET /page HTTP/1.0\r\n\r\n"), Timeout: harness.Patience,
	})
	said := regexp.MustCompile(`(?m)^(New|Reused), TLSv1\.`).FindStringSubmatch(got.Stdout)
	if got.ExitCode != 0 || said == nil || !strings.Contains(got.Stdout, "HTTP/1.1 200 OK\r\n") {
		r.t.Fatalf("%s: exit code %d\n%s%s", addr, got.ExitCode, got.Stdout, got.Stderr)
	}
	return said[1]
}

// curl fetches the URLs, each by a connection of its own, and returns the pages.
func (r *reader) curl(urls ...string) string {
	r.t.Helper()
	nettest.Need(r.t, "curl")
	args := append([]string{"--silent", "--show-error", "--insecure", "--fail", "--http1.1", "--header", "Connection: close"}, urls...)
	got := nettest.Run(r.t, nettest.Command{Path: "curl", Args: args, Timeout: harness.Patience})
	if got.ExitCode != 0 {
		r.t.Fatalf("exit code %d\n%s%s", got.ExitCode, got.Stdout, got.Stderr)
	}
	return got.Stdout
}
