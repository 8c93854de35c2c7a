package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"reprise/config"
	"reprise/internal/supervise"
)

// An application is a Python application that an installed uwsgi runs for this node,
// behind a unix socket in a directory of its own.
type application struct {
	dir     string
	process *supervise.Process
}

const (
	// appStart is how long an application may take to be loaded.
	appStart = time.Minute
	appPoll  = 10 * time.Millisecond
	appStop  = 15 * time.Second
	// appBuffer is the size of a request's variables: as much as the router accepts, which is more
	// than uwsgi's 4 KiB.
	appBuffer = 1<<16 - 1
	// reloadMercy is how long uwsgi waits for a worker to end, by default 60 seconds: one that is
	// still starting loses the signal.
	reloadMercy = 5 * time.Second
)

func startApplication(c *config.Application, f *config.SocketFile) (a *application, err error) {
	dir, err := os.MkdirTemp("", "reprise-")
	if err != nil {
		return nil, err
	}
	a = &application{dir: dir}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	a.process, err = supervise.Start(supervise.Command{
		Path: "uwsgi", Args: a.arguments(c, f), Env: c.Env, Dir: c.Dir, StopSignal: syscall.SIGINT,
		Log: slog.Default(),
	})
	if errors.Is(err, exec.ErrNotFound) {
		return a,
			fmt.Errorf(
				"%s needs uwsgi with its Python plugin: install uwsgi-core and uwsgi-plugin-python3, or run the application "+
					"yourself and name its socket with http-to", applicationName(c))
	}
	if err != nil {
		return a, err
	}
	return a, a.awaitLoaded(c)
}

// applicationName is the module or file that the operator named.
func applicationName(c *config.Application) string {
	if c.Module != "" {
		return "module " + c.Module
	}
	return "wsgi-file " + c.File
}

func (a *application) socket() string { return filepath.Join(a.dir, "uwsgi.sock") }
func (a *application) loaded() string { return filepath.Join(a.dir, "loaded") }

// arguments returns the command line of uwsgi: our supervision's options come first, so that the
// operator's own override them.
func (a *application) arguments(c *config.Application, f *config.SocketFile) []string {
	args := []string{
		"--plugin=python3", "--master", "--no-orphans", "--need-app", "--disable-logging",
		"--processes=2",
		fmt.Sprintf("--buffer-size=%d", appBuffer),
		fmt.Sprintf("--worker-reload-mercy=%.0f", reloadMercy.Seconds()),
		"--hook-accepting1=write:" + a.loaded() + " yes",
	}
	for _, o := range c.Options {
		args = append(args, "--"+o)
	}
	args = append(args, "--uwsgi-socket="+a.socket(),
		fmt.Sprintf("--chmod-socket=%o", socketMode(f)))
	if f.Owner != "" {
		args = append(args, "--chown-socket="+f.Owner)
	}
	for _, s := range c.Sockets {
		args = append(args, "--uwsgi-socket="+s.String())
	}
	for _, dir := range c.PythonPath {
		args = append(args, "--pythonpath="+dir)
	}
	for _, o := range [][2]string{
		{"virtualenv", c.Home},
		{"module", c.Module},
		{"wsgi-file", c.File},
		{"callable", c.Callable},
	} {
		if o[1] != "" {
			args = append(args, "--"+o[0]+"="+o[1])
		}
	}
	return args
}

// socketMode is the mode of all of uwsgi's sockets. The private one is in a directory that only
// this process's user can enter.
func socketMode(f *config.SocketFile) fs.FileMode {
	if f.HasMode {
		return f.Mode
	}
	return 0o600
}

// awaitLoaded waits until a worker accepts requests. uwsgi listens before that, and
// connections would wait for an application that cannot be loaded.
func (a *application) awaitLoaded(c *config.Application) error {
	for end := time.Now().Add(appStart); time.Now().Before(end); time.Sleep(appPoll) {
		if _, err := os.Stat(a.loaded()); err == nil {
			return nil
		}
		if exit := a.process.Stats().LastExit; exit != "" {
			return fmt.Errorf("uwsgi could not load %s (%s): the lines above say why",
				applicationName(c), exit)
		}
	}
	return fmt.Errorf("uwsgi has not loaded %s within %v", applicationName(c), appStart)
}

func (a *application) close() {
	if a.process != nil {
		ctx, cancel := context.WithTimeout(context.Background(), appStop)
		defer cancel()
		if err := a.process.Close(ctx); err != nil {
			slog.Warn("the application was killed", "error", err)
		}
	}
	_ = os.RemoveAll(a.dir)
}
