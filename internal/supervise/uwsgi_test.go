package supervise_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"reprise/internal/nettest"
	"reprise/internal/supervise"
)

// A uwsgi with a master and a worker gets ready and stops in good order.
func TestUwsgi(t *testing.T) {
	nettest.Need(t, "uwsgi")
	nettest.LeakCheck(t)
	socket := filepath.Join(t.TempDir(), "socket")
	r := &recorder{}
	p, err := supervise.Start(supervise.Command{
		Path:       "uwsgi",
		Args:       []string{"--master", "--no-orphans", "--plugins", "notfound", "--socket", socket},
		StopSignal: syscall.SIGINT,
		Log:        slog.New(r),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(canceled()) }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Ready(ctx, socket); err != nil {
		t.Fatal(err)
	}
	worker := r.awaitPid(t, "spawned uWSGI worker 1 (pid:")
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	awaitGone(t, worker)
	if got := p.Stats(); got.Starts != 1 || !strings.HasPrefix(got.LastExit, "exit status") {
		t.Errorf("got %+v, want one start and an exit of its own", got)
	}
}
