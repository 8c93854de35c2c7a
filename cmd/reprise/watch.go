package main

import (
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// calm is how long nothing must have changed before files are read again: a tool that
// renews a certificate writes several, one after the other.
const calm = 500 * time.Millisecond

// watchFiles makes reloads of changes to certificates, keys, client CAs and secrets, if
// the configuration asks for it, until the node is released.
//
// Directories are watched, not files: a file that is replaced by renaming another, or by
// changing a link on the way to it as Kubernetes does with ..data, is not the file that
// was watched.
func (n *node) watchFiles(reloads chan<- os.Signal) error {
	if !n.config.Watch {
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	for _, dir := range n.config.ReloadDirs() {
		if err := w.Add(dir); err != nil {
			w.Close()
			return err
		}
	}
	n.watchers = append(n.watchers, sync.OnceFunc(func() { w.Close() }))
	go func() {
		settled := time.NewTimer(calm)
		settled.Stop()
		for {
			select {
			case e, ok := <-w.Events:
				if !ok {
					return
				}
				if e.Op != fsnotify.Chmod { // reading changes nothing else
					settled.Reset(calm)
				}
			case err, ok := <-w.Errors:
				if !ok {
					return
				}
				slog.Warn("files are watched with losses: all are read again", "error", err)
				settled.Reset(calm)
			case <-settled.C:
				select {
				case reloads <- syscall.SIGHUP:
				default: // one is to come anyway
				}
			}
		}
	}()
	return nil
}
