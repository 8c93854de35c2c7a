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
	// calm is how long nothing must have changed before files are read again: a tool that
	// renews a certificate writes several, one after the other.
	calm = 500 * time.Millisecond
	// restless is how long changes can put that off: there may be a log beside the files.
	restless = 3 * time.Second
	// lookEvery is how often it is looked whether the directories are still those that are
	// watched.
	lookEvery = 2 * time.Second
)

// A watch makes reloads of changes to certificates, keys, client CAs and secrets.
//
// Directories are watched, not files: a file that is replaced by renaming another, or by
// changing a link on the way to it as Kubernetes does with ..data, is not the file that
// was watched. For the same reason it is looked from time to time whether a directory is
// the one that is watched: it may be another by now, and then the kernel tells nothing.
type watch struct {
	*fsnotify.Watcher
	reloads chan<- os.Signal

	mu   sync.Mutex
	dirs map[string]os.FileInfo // what is watched under each name; nil for nothing
}

// watchFiles watches if the configuration asks for it, until the node is released.
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
	go w.run(calm, restless, lookEvery)
	return nil
}

// follow says which directories are to be watched from the next look on.
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
		_ = w.Remove(dir) // it may have gone
	}
}

// look sees that all directories are watched that are there. It reports whether one of
// them was not, so that something may have changed in it.
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
		_ = w.Remove(dir) // else what it was is watched
		if failed := w.Add(dir); failed != nil {
			err = failed
			continue
		}
		w.dirs[dir], changed = info, true
	}
	return changed, err
}

// run waits for changes until w is closed.
func (w *watch) run(calm, restless, lookEvery time.Duration) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	settled := time.NewTimer(calm)
	settled.Stop()
	var since time.Time // the first change that is not read yet
	change := func() {
		if since.IsZero() {
			since = time.Now()
		}
		settled.Reset(max(0, min(calm, restless-time.Since(since))))
	}
	for {
		select {
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if e.Op != fsnotify.Chmod { // reading changes nothing else
				change()
			}
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			slog.Warn("files are watched with losses: all are read again", "error", err)
			change()
		case <-ticker.C:
			if changed, _ := w.look(); changed { // what is missing, the reload tells
				change()
			}
		case <-settled.C:
			since = time.Time{}
			select {
			case w.reloads <- syscall.SIGHUP:
			default: // one is to come anyway
			}
		}
	}
}
