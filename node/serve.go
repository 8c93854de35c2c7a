package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"reprise/config"
	"reprise/internal/asynclog"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Program is the running program: its version, and how to start its successor.
type Program struct {
	Version string
	Path    string
	Args    []string // without the program's name
}

// A RuntimeError is an error that the configuration did not cause.
type RuntimeError struct{ Err error }

func (e RuntimeError) Error() string { return e.Err.Error() }
func (e RuntimeError) Unwrap() error { return e.Err }

// LogLines is how many lines may wait for a slow log.
const LogLines = 1024

// Serve runs the node of a configuration until a signal ends it, or takes over from the
// process before, which may have started this one for that. parse reads the
// configuration, reread does so for each reload. Lines of the log go to logTo.
func Serve(p Program, parse, reread func() (*config.Config, error), logTo io.Writer) error {
	in, err := inherit()
	if err != nil {
		return RuntimeError{err}
	}
	c, err := parse()
	if err == nil {
		err = serve(p, c, in, reread, logTo)
	}
	in.fail(err)
	return err
}

func serve(p Program, c *config.Config, in *inheritance, reread func() (*config.Config, error),
	logTo io.Writer,
) error {
	log := asynclog.New(logTo, LogLines)
	defer log.Close()
	level := new(slog.LevelVar)
	slog.SetDefault(slog.New(logHandler(c, level, log)))
	tuneRuntime(c)
	setUmask(c)
	keepPrivate()

	ends := notify(2, syscall.SIGTERM, syscall.SIGINT)
	reloads, reopens, upgrades := notify(1, syscall.SIGHUP), notify(1, syscall.SIGUSR1),
		notify(1, syscall.SIGUSR2)
	defer func() {
		for _, signals := range []chan os.Signal{ends, reloads, reopens, upgrades} {
			signal.Stop(signals)
		}
	}()

	n, err := newSuccessor(p, c, log, in)
	if err != nil {
		return err
	}
	n.reread, n.logLevel = reread, level
	if err := dropPrivileges(c, in.predecessor != nil); err != nil {
		return errors.Join(err, n.abandon())
	}
	if err := n.takeOver(); err != nil {
		return RuntimeError{errors.Join(err, n.abandon())}
	}
	n.Start()
	if in.predecessor != nil {
		go n.follow()
	} else {
		tellManager(daemon.SdNotifyReady)
	}
	go n.beWatched()
	slog.Info("serving", "version", p.Version, "listen", n.engine.Addresses(), "loops",
		c.Tuning.Loops)
	go n.reloadOn(reloads)
	if err := n.watchFiles(reloads); err != nil {
		slog.Error("files are not watched: send SIGHUP when they have changed", "error", err)
	}
	go n.reopenOn(reopens)
	go n.upgradeOn(upgrades)

	return n.awaitEnd(ends)
}

// awaitEnd serves until a signal or a command ends the node, then drains and closes it.
func (n *Node) awaitEnd(ends <-chan os.Signal) error {
	var why string
	select {
	case s := <-ends:
		why = s.String()
	case why = <-n.endings:
	}
	slog.Info("draining", "signal", why, "accepting_for", n.config.Tuning.ShutdownDelay, "at_most",
		n.config.Tuning.DrainTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-ends
		slog.Warn("second signal: leaving at once")
		cancel()
	}()
	open := n.Drain(ctx)
	if err := n.Close(); err != nil {
		return RuntimeError{err}
	}
	slog.Info("stopped", "connections_cut", open)
	return nil
}

// notify returns a channel of signals that holds at most most of them.
func notify(most int, signals ...os.Signal) chan os.Signal {
	c := make(chan os.Signal, most)
	signal.Notify(c, signals...)
	return c
}

// logHandler makes the handler of log lines; level is set to the configuration's.
func logHandler(c *config.Config, level *slog.LevelVar, w io.Writer) slog.Handler {
	level.Set(c.LogLevel)
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, options)
	if c.LogFormat == "json" {
		h = slog.NewJSONHandler(w, options)
	}
	if c.Name != "" {
		h = h.WithAttrs([]slog.Attr{slog.String("node", c.Name)})
	}
	return h
}
