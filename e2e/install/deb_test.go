package install

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// repository is the root of the sources, from here.
const repository = "../.."

// shipped makes what `make TARGET` makes, and returns a copy of the file that
// it names in its last line of output, and of what is beside it as .tar.
func shipped(t *testing.T, target string) string {
	t.Helper()
	shipping.Lock()
	defer shipping.Unlock()
	c := exec.Command("make", "-s", "--no-print-directory", target, "VERSION=v1.2.3")
	c.Dir = repository
	c.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	told, err := c.Output()
	if err != nil {
		t.Fatalf("make %s: %v: %s", target, err, &stderr)
	}
	lines := strings.Split(strings.TrimSpace(string(told)), "\n")
	made := filepath.Join(repository, lines[len(lines)-1])
	dir := t.TempDir()
	for _, path := range []string{made, made + ".tar"} {
		if _, err := os.Stat(path); err == nil {
			run(t, 0, "cp", "-r", path, dir)
		}
	}
	return filepath.Join(dir, filepath.Base(made))
}

// shipping is held while make works and what it has made is copied: the names are the same.
var shipping sync.Mutex

// TestPackageVersion: a tag becomes the version of the package, in the order in which they came.
func TestPackageVersion(t *testing.T) {
	nettest.Need(t, "dpkg")
	var versions []string
	for _, test := range []struct{ described, want string }{
		{"abc1234", "0~gabc1234"},
		{"v1.2.3-rc1", "1.2.3~rc1"},
		{"v1.2.3", "1.2.3"},
		{"v1.2.3-5-gabc1234", "1.2.3+5.gabc1234"},
		{"v1.2.3-14-gabc1234-dirty", "1.2.3+14.gabc1234+dirty"},
		{"v1.3", "1.3"},
	} {
		got := strings.TrimSpace(run(t, 0, filepath.Join(repository, "packaging/version"), test.described))
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.described, got, test.want)
		}
		versions = append(versions, got)
	}
	for i := range versions[1:] {
		run(t, 0, "dpkg", "--compare-versions", versions[i], "lt", versions[i+1])
	}
}

// TestLintian: the package has no error, and is the same when it is made again.
func TestLintian(t *testing.T) {
	t.Parallel()
	nettest.Need(t, "lintian", "make")
	deb := shipped(t, "deb")
	first, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	r := nettest.Run(t, nettest.Command{Path: "lintian", Args: []string{"--allow-root", "--tag-display-limit", "0", deb}, Timeout: harness.Patience})
	if strings.Contains(r.Stdout, "E: ") || r.ExitCode != 0 {
		t.Errorf("exit status %d:\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
	}
	again, err := os.ReadFile(shipped(t, "deb"))
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("made again, the package is another one: %v", err)
	}
}

// TestUnitSecurity: systemd finds little that the unit exposes.
func TestUnitSecurity(t *testing.T) {
	nettest.Need(t, "systemd-analyze")
	unit := filepath.Join(repository, "packaging/deb/reprise.service")
	told := run(t, 0, "systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", unit)
	found := regexp.MustCompile(`Overall exposure level for reprise.service: (\d+\.\d+)`).FindStringSubmatch(told)
	if found == nil {
		t.Fatalf("no level: %s", told)
	}
	t.Logf("exposure %s, at most 3.0", found[1])
}

// debian returns the directory of a fresh minimal Debian, made once on this machine.
func debian(t *testing.T) string {
	t.Helper()
	asRoot(t)
	nettest.Need(t, "mmdebstrap", "tar")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	tarball := filepath.Join(cache, "reprise-test", "debian-bookworm-1.tar")
	if _, err := os.Stat(tarball); err != nil {
		if err := os.MkdirAll(filepath.Dir(tarball), 0o700); err != nil {
			t.Fatal(err)
		}
		made := filepath.Join(t.TempDir(), "root.tar")
		r := nettest.Run(t, nettest.Command{
			Path: "mmdebstrap", Args: []string{"--quiet", "--variant=essential", "--include=adduser", "bookworm", made},
			Timeout: 5 * time.Minute, // it downloads 30 MB
		})
		if r.ExitCode != 0 {
			t.Fatalf("mmdebstrap: exit status %d: %s", r.ExitCode, r.Stderr)
		}
		run(t, 0, "mv", made, tarball)
	}
	root, err := os.MkdirTemp("", "reprise-root-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	run(t, 0, "tar", "-C", root, "-xf", tarball, "--exclude=./dev/*")
	makeDevices(t, root)
	return root
}

// makeDevices makes those that programs take for granted.
func makeDevices(t *testing.T, root string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, device := range map[string]int{"null": 1<<8 | 3, "urandom": 1<<8 | 9} {
		path := filepath.Join(root, "dev", name)
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, device); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
}

// filesOf lists what is in a root, but for what dpkg and adduser note.
func filesOf(t *testing.T, root string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		switch {
		case strings.HasPrefix(name, "/var/lib/dpkg/info/reprise"): // it is asked for below
		case slices.Contains([]string{"/var/lib/dpkg", "/var/log", "/var/cache", "/run/adduser"}, name):
			return fs.SkipDir
		case strings.HasPrefix(name, "/etc/") && (strings.HasSuffix(name, "-") || strings.HasSuffix(name, ".lock")):
			return nil // copies of the list of users
		}
		list = append(list, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// startUnit starts what the installed unit says, as its user and with its directories, in a
// network of its own: what systemd does, where none is the first process.
func startUnit(t *testing.T, root string) *nettest.Process {
	t.Helper()
	unit, err := os.ReadFile(filepath.Join(root, "lib/systemd/system/reprise.service"))
	if err != nil {
		t.Fatal(err)
	}
	value := func(key string) string {
		found := regexp.MustCompile(`(?m)^` + key + `=(.+)$`).FindSubmatch(unit)
		if found == nil {
			t.Fatalf("the unit has no %s", key)
		}
		return string(found[1])
	}
	for key, parent := range map[string]string{"RuntimeDirectory": "/run", "LogsDirectory": "/var/log", "StateDirectory": "/var/lib"} {
		dir := filepath.Join(parent, value(key))
		run(t, 0, "chroot", root, "install", "-d", "-o", value("User"), "-g", value("Group"), "-m", value(key+"Mode"), dir)
	}
	return nettest.Start(t, nettest.Command{
		Path: "unshare",
		Args: append([]string{
			"--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh",
			"chroot", "--userspec=" + value("User") + ":" + value("Group"), root,
		}, strings.Fields(value("ExecStart"))...),
		Env:     []string{"RUNTIME_DIRECTORY=/run/reprise"},
		Timeout: harness.Patience,
	}, nettest.Prints("msg=serving"))
}

// TestPackage: in a fresh Debian the package is installed, starts with its default configuration,
// takes over another one, stops and is removed; a purge leaves nothing.
func TestPackage(t *testing.T) {
	t.Parallel()
	nettest.Need(t, "curl", "ip", "unshare", "nsenter", "make")
	root := debian(t)
	before := filesOf(t, root)
	deb := shipped(t, "deb")
	run(t, 0, "cp", deb, filepath.Join(root, "reprise.deb"))
	run(t, 0, "chroot", root, "dpkg", "--install", "/reprise.deb")
	if told := run(t, 0, "chroot", root, "reprise", "--version"); !strings.HasPrefix(told, "reprise v1.2.3 ") {
		t.Errorf("got %q", told)
	}
	run(t, 0, "chroot", root, "reprise", "check", "/etc/reprise/reprise.ini")
	if _, err := os.Lstat(filepath.Join(root, "etc/systemd/system/multi-user.target.wants/reprise.service")); err != nil {
		t.Errorf("the service is not enabled: %v", err)
	}

	p := startUnit(t, root)
	curl := func(args ...string) string {
		return run(t, 0, "nsenter", append([]string{"--net=/proc/" + itoa(p.Pid()) + "/ns/net", "curl", "-sS"}, args...)...)
	}
	if told := curl("-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8880/"); told != "503" {
		t.Errorf("without a backend: %s", told)
	}
	if told := run(t, 0, "chroot", root, "reprise", "backend", "list"); !strings.Contains(told, "127.0.0.1:8881") {
		t.Errorf("the admin socket: %s", told)
	}
	pki := testpki.New(t)
	dir := filepath.Join(root, "etc/reprise/tls")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cert, err := pki.Server(testpki.ECDSA, "localhost").Write(dir, "cert")
	if err != nil {
		t.Fatal(err)
	}
	run(t, 0, "chroot", root, "chown", "-R", "reprise", "/etc/reprise/tls")
	inside := func(path string) string { return strings.TrimPrefix(path, root) }
	run(t, 0, "sh", "-c", `echo "https = 127.0.0.1:8443,$1,$2" >>"$3"`, "sh", inside(cert.CertFile), inside(cert.KeyFile),
		filepath.Join(root, "etc/reprise/reprise.ini"))
	p.Signal(syscall.SIGHUP) // ExecReload
	p.Match(`msg="?reloaded`)
	if told := curl("-o", "/dev/null", "-w", "%{http_code}", "--cacert", pki.CAFile, "--connect-to", "localhost:8443:127.0.0.1:8443", "https://localhost:8443/"); told != "503" {
		t.Errorf("after a reload: %s", told)
	}
	if status := p.Stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}

	testRemoval(t, root, before)
}

// testRemoval: a removal leaves the configuration, a purge nothing.
func testRemoval(t *testing.T, root string, before []string) {
	run(t, 0, "chroot", root, "dpkg", "--remove", "reprise")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/reprise")); err == nil {
		t.Error("the program is still there after its removal")
	}
	if _, err := os.Stat(filepath.Join(root, "etc/reprise/reprise.ini")); err != nil {
		t.Error("the configuration is gone after a removal")
	}
	if err := os.RemoveAll(filepath.Join(root, "etc/reprise/tls")); err != nil { // the administrator's
		t.Fatal(err)
	}
	run(t, 0, "chroot", root, "dpkg", "--purge", "reprise")
	if err := os.Remove(filepath.Join(root, "reprise.deb")); err != nil {
		t.Fatal(err)
	}
	for _, name := range filesOf(t, root) {
		if !slices.Contains(before, name) {
			t.Errorf("a purge leaves %s", name)
		}
	}
	for _, name := range []string{"etc/passwd", "etc/group"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || strings.Contains(string(text), "reprise") {
			t.Errorf("a purge leaves the user in /%s: %v", name, err)
		}
	}
	for _, name := range []string{"var/log/reprise", "var/lib/reprise"} {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			t.Errorf("a purge leaves /%s", name)
		}
	}
}
