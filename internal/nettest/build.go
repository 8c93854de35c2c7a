package nettest

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// builds holds a func() (string, error) per package path, so that a test
// process builds each program once.
var builds sync.Map

// Build compiles a main package of this module, named by its import path, and
// returns the path of the program, with the race detector if the test has it.
//
// Programs are kept in the user's cache directory, where the go command finds them up to date the
// next time. They must not be modified or removed. The go command does not know that the test
// depends on them: it may reuse a cached result, unless run with -count=1 as the Makefile does.
func Build(t T, pkg string) string {
	t.Helper()
	once, _ := builds.LoadOrStore(pkg, sync.OnceValues(func() (
		string, error,
	) {
		return build(pkg)
	}))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatalf("build %s: %v", pkg, err)
	}
	return path
}

func build(pkg string) (string, error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	// Test processes of several packages may want the program at the same time: the first one
	// builds it, the others find it up to date.
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	program := filepath.Join(dir, filepath.Base(pkg))
	// Without -buildvcs=false each commit would need another link.
	args := []string{"build", "-buildvcs=false", "-o", program}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
}

// buildDir makes the directory for programs of this module: one per checkout,
// and per kind of build.
func buildDir() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	id := fnv.New64a()
	fmt.Fprintf(id, "%s race=%t", strings.TrimSpace(string(mod)), raceEnabled)
	dir := filepath.Join(cache, "reprise-test", fmt.Sprintf("%x", id.Sum64()))
	return dir, os.MkdirAll(dir, 0o700)
}
