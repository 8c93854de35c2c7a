package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"reprise/config"
)

// TestWatchGoesOn: the directory that currently has a name is watched, and constant writing there
// does not put off reloads for ever.
func TestWatchGoesOn(t *testing.T) {
	defer func(a, b, c time.Duration) { quiet, maxDelay, lookEvery = a, b, c }(quiet, maxDelay,
		lookEvery)
	quiet, maxDelay, lookEvery = quiet/5, maxDelay/5, lookEvery/5
	at := t.TempDir()
	dir, linked, later := filepath.Join(at, "live"), filepath.Join(at, "linked"), filepath.Join(at, "later")
	must := func(err error) { t.Helper(); fatal(t, err) }
	for _, d := range []string{dir, later, filepath.Join(at, "v1"), filepath.Join(at, "v2")} {
		must(os.Mkdir(d, 0o700))
	}
	must(os.Symlink("v1", linked))
	write := func(dir string) { t.Helper(); must(os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600)) }
	for _, d := range []string{dir, linked, later} {
		write(d)
	}

	n := &Node{config: &config.Config{
		Watch: true, ClusterSecretFiles: []string{filepath.Join(dir, "secret"), filepath.Join(linked, "secret")},
	}}
	reloads := make(chan os.Signal, 1)
	must(n.watchFiles(reloads))
	defer n.release()
	told := func(within time.Duration) bool {
		select {
		case <-reloads:
			return true
		case <-time.After(within):
			return false
		}
	}
	// noticed reports whether a new file in dir is noticed, after all earlier changes were.
	noticed := func(dir string) bool {
		t.Helper()
		for told(2*lookEvery + quiet) {
		}
		write(dir)
		return told(10 * time.Second)
	}
	if !noticed(dir) {
		t.Fatal("a new file was not noticed")
	}
	must(os.Rename(dir, dir+".old"))
	must(os.Mkdir(dir, 0o700))
	must(os.Remove(linked))
	must(os.Symlink("v2", linked))
	if !noticed(dir) {
		t.Error("a directory that was replaced is not watched any more")
	}
	if !noticed(linked) {
		t.Error("where a link leads now is not watched")
	}
	n.watch.Load().follow([]string{dir, later})
	if !noticed(later) {
		t.Error("a directory that a reload brought is not watched")
	}

	testBusyFile(t, reloads, func() { write(dir) })
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testBusyFile: a file that is written to all the time puts no reload off for ever.
func testBusyFile(t *testing.T, reloads <-chan os.Signal, write func()) {
	stop := time.After(4 * maxDelay)
	busy := time.NewTicker(quiet / 5)
	defer busy.Stop()
	for {
		select {
		case <-busy.C:
			write()
			continue
		case <-reloads:
		case <-stop:
			t.Error("a file that is written to all the time puts the reload off for ever")
		}
		return
	}
}
