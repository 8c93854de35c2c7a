package documented

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestDocumentedNamedCaches is two nodes with a cache named ssl, each with an
// application of its own.
func TestDocumentedNamedCaches(t *testing.T) {
	nettest.Need(t, "uwsgi")
	r := newReader(t)
	nodes := []*harness.Server{r.start("named-caches/node1.ini", "127.0.0.1:5001"), r.start("named-caches/node2.ini", "127.0.0.1:5002")}
	awaitPeers(t, nodes)
	addrs := []string{"127.0.0.1:8443", "127.0.0.1:8444"}
	r.wantResumedEverywhere(addrs, nodes...)
	for i, s := range nodes {
		if c := s.WantUWSGI(); c.Name != "ssl" || c.MaxItems != 20000 || c.BlockSize != 4096 {
			t.Errorf("node %d: got %+v, want a cache named ssl, 20000 items, blocks of 4096", i, c)
		}
		if page := r.curl("https://" + addrs[i] + "/"); !strings.Contains(page, "<title>WSGI Information</title>") {
			t.Errorf("node %d: curl got another page than that of werkzeug.testapp:\n%s", i, page)
		}
	}
	if c := nodes[0].WantUWSGI(); c.KeySize != 128 {
		t.Errorf("got a keysize of %d, want 128", c.KeySize)
	}
}

// tellingApplication answers with its arguments and environment.
const tellingApplication = `
import json, os, sys, uwsgi

def application(env, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({
        "pid": os.getpid(), "dir": os.getcwd(), "env": os.environ.get("GREETING"), "prefix": sys.prefix, "path": sys.path, "workers": uwsgi.numproc,
        "buffer": uwsgi.opt["buffer-size"].decode(), "router": env.get("UWSGI_ROUTER"),
    }).encode()]
`

type told struct {
	Pid, Workers         int
	Dir, Env, Prefix     string
	Path                 []string
	Buffer, Router, Name string
}

// startApplicationNode runs a node with an https listener and the lines, which name its
// application. Its temporary files are in tmp.
func startApplicationNode(t *testing.T, lines ...string) (s *harness.Server, client *http.Client,
	tmp string,
) {
	t.Helper()
	nettest.Need(t, "uwsgi")
	pki, tmp := testpki.New(t), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s = harness.Start(t, harness.WriteFile(t, "node.ini", "[uwsgi]\n"+strings.Join(lines, "\n")+"\n"),
		harness.HTTPS(pki.Server(testpki.ECDSA, "localhost")))
	return s, harness.HTTPClient(t, harness.ClientConfig(pki),
		func(tr *http.Transport) { tr.DisableKeepAlives = true }), tmp
}

// ask asks the application.
func ask(t *testing.T, client *http.Client, s *harness.Server) told {
	t.Helper()
	_, page, err := harness.Fetch(client, "GET", "https://"+s.Addr()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return harness.DecodeJSON[told](t, page)
}

// TestApplicationOptions: the options of a file reach its application, by either way to name one.
func TestApplicationOptions(t *testing.T) {
	dir, lib, venv, socket := t.TempDir(), t.TempDir(), t.TempDir(), nettest.FreeAddr(t)
	for name, text := range map[string]string{
		filepath.Join(dir, "telling.py"):      tellingApplication,
		filepath.Join(lib, "other.py"):        strings.Replace(tellingApplication, "def application", "def wsgi", 1),
		filepath.Join(venv, "pyvenv.cfg"):     "home = /usr/bin\n",
		filepath.Join(venv, "bin", "python3"): "",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("wsgi-file", func(t *testing.T) {
		s, client, _ := startApplicationNode(t, "wsgi-file = telling.py", "chdir = "+dir, "env = GREETING=a = b", "processes = 3",
			"buffer-size = 32768", "socket = "+socket)
		if got := ask(t, client, s); got.Dir != dir || got.Env != "a = b" || got.Workers != 3 ||
			got.Buffer != "32768" || got.Router != "http" {
			t.Errorf("got %+v", got)
		}
		if got := askDirectly(t, socket); got.Dir != dir || got.Router != "" {
			t.Errorf("by its own socket: got %+v", got)
		}
	})
	t.Run("module", func(t *testing.T) {
		s, client, _ := startApplicationNode(t, "module = other:wsgi", "pythonpath = "+lib, "virtualenv = "+venv)
		if got := ask(t, client, s); !slices.Contains(got.Path, lib+"/") || got.Prefix != venv {
			t.Errorf("got the path %q and the prefix %s, want %s in it and %s", got.Path, got.Prefix, lib, venv)
		}
	})
}

// askDirectly makes a request by the uwsgi protocol.
func askDirectly(t *testing.T, addr string) told {
	t.Helper()
	conn := harness.DialRaw(t, addr)
	var vars []byte
	for _, s := range []string{"REQUEST_METHOD", "GET", "PATH_INFO", "/", "SERVER_PROTOCOL", "HTTP/1.0"} {
		vars = append(binary.LittleEndian.AppendUint16(vars, uint16(len(s))), s...)
	}
	packet := append(binary.LittleEndian.AppendUint16([]byte{0}, uint16(len(vars))), 0)
	if _, err := conn.Write(append(packet, vars...)); err != nil {
		t.Fatal(err)
	}
	response, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(response), "\r\n\r\n")
	return harness.DecodeJSON[told](t, body)
}

// TestApplicationIsSupervised: a uwsgi that dies is replaced, and none outlives its node, however
// the node ends.
func TestApplicationIsSupervised(t *testing.T) {
	application := "wsgi-file = " + harness.WriteFile(t, "telling.py", tellingApplication)
	t.Run("killed uwsgi", func(t *testing.T) {
		s, client, tmp := startApplicationNode(t, application)
		before := ask(t, client, s)
		if err := syscall.Kill(children(t, s.Pid())[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		nettest.Eventually(t, harness.Patience, func() bool {
			resp, page, err := harness.Fetch(client, "GET", "https://"+s.Addr()+"/", nil)
			return err == nil && resp.StatusCode == http.StatusOK &&
				harness.DecodeJSON[told](t, page).Pid != before.Pid
		}, "another uwsgi answers")
		if s.Stop() != harness.ExitOK {
			t.Error("the node did not end well")
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	for _, test := range []struct {
		name   string
		signal syscall.Signal
	}{{"SIGTERM", syscall.SIGTERM}, {"SIGKILL", syscall.SIGKILL}} {
		t.Run(test.name, func(t *testing.T) {
			s, client, _ := startApplicationNode(t, application)
			ask(t, client, s)
			all := descendants(t, s.Pid())
			if len(all) < 3 {
				t.Fatalf("got the processes %v, want a master and two workers", all)
			}
			s.Signal(test.signal)
			s.Wait()
			nettest.Eventually(t, harness.Patience, func() bool {
				return !slices.ContainsFunc(all,
					func(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
			}, "none of the processes %v is left", all)
		})
	}
}

// children returns the processes that a process has started.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file) // nothing if the thread has just ended
		for field := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, child)
		}
	}
	return pids
}

// descendants returns the children and all their descendants.
func descendants(t *testing.T, pid int) (pids []int) {
	t.Helper()
	for _, child := range children(t, pid) {
		pids = append(append(pids, child), descendants(t, child)...)
	}
	return pids
}

// TestApplicationThatDoesNotStart: the start ends with a line that says why.
func TestApplicationThatDoesNotStart(t *testing.T) {
	nettest.Need(t, "uwsgi")
	pki := testpki.New(t)
	listener := harness.HTTPS(pki.Server(testpki.ECDSA, "localhost"))
	broken := harness.WriteFile(t, "broken.py", "raise RuntimeError('this is why')\n")
	for _, test := range []struct {
		name string
		args []string
		path string // instead of $PATH
		want []string
	}{
		{"no such module", []string{"--module", "no_such_module:app"}, "", []string{"no_such_module", "could not load module no_such_module:app", "the lines above say why"}},
		{"no such callable", []string{"--module", "json:nothing"}, "", []string{"could not load module json:nothing"}},
		{"it raises", []string{"--wsgi-file", broken}, "", []string{"this is why", "could not load wsgi-file " + broken}},
		{"no such file", []string{"--wsgi-file", "/nowhere/app.py"}, "", []string{"cannot read /nowhere/app.py: no such file or directory"}},
		{"no such directory", []string{"--module", "json:loads", "--chdir", "/nowhere"}, "", []string{"/nowhere", "no such file or directory"}},
		{"no uwsgi", []string{"--module", "json:loads"}, "/nowhere", []string{"needs uwsgi", "install uwsgi-core and uwsgi-plugin-python3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tmp := t.TempDir()
			env := []string{"TMPDIR=" + tmp}
			if test.path != "" {
				env = append(env, "PATH="+test.path)
			}
			r := nettest.Run(t, nettest.Command{
				Path: harness.Program(t), Args: append(test.args, listener),
				Env: env, Timeout: 2 * harness.Patience,
			})
			lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
			if last := lines[len(lines)-1]; r.ExitCode != harness.ExitConfig || !strings.HasPrefix(last, "reprise: ") {
				t.Errorf("exit code %d, want %d and a last line of reprise: %s", r.ExitCode, harness.ExitConfig, r.Stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(r.Stderr, want) {
					t.Errorf("want %q in:\n%s", want, r.Stderr)
				}
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
