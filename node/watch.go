package node

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A test makes these shorter.
var (
	// quiet is how long nothing must have changed before files are read again: a tool that renews a
	// certificate writes several, one after the other.
	quiet = 500 * time.Millisecond
	// maxDelay is how long changes can put that off: there may be a log beside the files.
	maxDelay = 3 * time.Second
	// lookEvery is how often the watch checks that the directories are still those that it watches.
	lookEvery = 2 * time.Second
)

// A watch reloads when certificates, keys, client CAs or secrets change.
//
// Directories are watched, not files: a file that is replaced by renaming another, or by changing a
// link on the way to it as Kubernetes does with ..data, is not the file that was watched. For the
// same reason the watch checks from time to time whether a directory is the one that it watches: if
// it is another by now, the kernel reports no changes.
type watch struct {
	*fsnotify.Watcher
	reloads chan<- os.Signal

	mu   sync.Mutex
	dirs map[string]os.FileInfo // the directory watched under each name; nil for none
}

// watchFiles starts a watch if it is configured, until the node is released.
func (n *Node) watchFiles(reloads chan<- os.Signal) error {
	if !n.config.Watch {
		return nil
	}
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	w := &watch{Watcher: notifier, reloads: reloads}
	w.follow(n.config.ReloadDirs())
	if _, err := w.look(); err != nil {
		w.Close()
		return err
	}
	n.watch.Store(w)
	n.onClose(func() { _ = w.Close() })
	go w.run(quiet, maxDelay, lookEvery)
	return nil
}

// follow sets the directories to watch from the next look on.
func (w *watch) follow(list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.dirs
	w.dirs = make(map[string]os.FileInfo, len(list))
	for _, dir := range list {
		w.dirs[dir] = before[dir]
		delete(before, dir)
	}
	for dir := range before {
		_ = w.Remove(dir) // it may be gone
	}
}

// look watches all directories that exist. It reports whether one of them was not watched, so that
// something may have changed in it.
func (w *watch) look() (changed bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	watched := w.WatchList()
	for dir, before := range w.dirs {
		info, missing := os.Stat(dir)
		switch {
		case missing != nil:
			err = missing
			w.dirs[dir] = nil
			continue
		case before != nil && os.SameFile(before, info) && slices.Contains(watched, dir):
			continue
		}
		_ = w.Remove(dir) // else the old one stays watched
		if failed := w.Add(dir); failed != nil {
			err = failed
			continue
		}
		w.dirs[dir], changed = info, true
	}
	return changed, err
}

// run waits for changes until w is closed.
func (w *watch) run(quiet, maxDelay, lookEvery time.Duration) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	settled := time.NewTimer(quiet)
	settled.Stop()
	var since time.Time // the first change that is not read yet
	change := func() {
		if since.IsZero() {
			since = time.Now()
		}
		settled.Reset(max(0, min(quiet, maxDelay-time.Since(since))))
	}
	for {
		select {
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if e.Op != fsnotify.Chmod { // reading a file changes its access time
				change()
			}
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			slog.Warn("files are watched with losses: all are read again", "error", err)
			change()
		case <-ticker.C:
			if changed, _ := w.look(); changed { // the reload reports missing files
				change()
			}
		case <-settled.C:
			since = time.Time{}
			select {
			case w.reloads <- syscall.SIGHUP:
			default: // one is pending already
			}
		}
	}
}
