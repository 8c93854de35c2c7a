package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"reprise/internal/handover"
	"reprise/internal/metric"
	"reprise/sessions"
)

// An upgrade is a conversation of a process and the successor that it starts:
//
//	sockets  to the successor: all descriptors of sockets, and the node's id
//	ready    it has read its configuration and made everything; it serves nothing
//	estate   to the successor, with a file in memory: sessions, rules, what peers know.
//	         From here on neither accepts: clients wait in the sockets' queues
//	loaded   it has taken that over
//	go       to the successor: it serves. The old process drains
//	made, spent, released
//	         to the successor: results of handshakes of the old process
//
// Until it sends go the old process can go on as before, and does if the successor sends
// failed, ends, or takes too long.
const (
	msgSockets  = "sockets"
	msgReady    = "ready"
	msgEstate   = "estate"
	msgLoaded   = "loaded"
	msgGo       = "go"
	msgFailed   = "failed"
	msgMade     = "made"
	msgSpent    = "spent"
	msgReleased = "released"
)

// messageTime is how long a message may take to be sent.
const messageTime = 5 * time.Second

// handleUpgrade serves POST /upgrade on the admin server.
func (n *Node) handleUpgrade(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // it may take its time
	pid, err := n.upgrade()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "process %d has taken over\n", pid)
}

// upgradeOn upgrades at each signal, until the node drains.
func (n *Node) upgradeOn(signals <-chan os.Signal) {
	for {
		select {
		case <-n.draining:
			return
		case <-signals:
			_, _ = n.upgrade() // it logs the result
		}
	}
}

// upgrades counts their results.
type upgrades struct {
	Failed   metric.Counter `json:"failed" help:"Successors that did not come up, so that this process went on."`
	Succeeds metric.Gauge   `json:"succeeds" help:"1 if this process has taken over from another one, 0 if it began with nothing."`
	Lost     metric.Counter `json:"lost" help:"Sessions of the last handshakes of this process that its successor could not be told of."`
}

// upgrade starts a successor, hands everything over and makes this process drain. An error
// says why that has failed, and that nothing has changed.
func (n *Node) upgrade() (pid int, err error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	select {
	case <-n.draining:
		return 0, errors.New("the node is draining")
	default:
	}
	if n.succeeded.Load() {
		return 0, errors.New("another process has taken over already")
	}
	slog.Info("upgrading: a successor is started", "program", n.program.Path)
	pid, err = n.handOver()
	if err != nil {
		n.upgrades.Failed.Inc()
		slog.Error("the successor has not taken over: this process goes on", "error", err)
		return 0, err
	}
	slog.Info("a successor has taken over", "process", pid)
	select {
	case n.endings <- "upgrade":
	default: // it was told to end anyway
	}
	return pid, nil
}

func (n *Node) handOver() (pid int, err error) {
	path, err := exec.LookPath(n.program.Path)
	if err != nil {
		return 0, err
	}
	deadline := time.Now().Add(n.now().config.Tuning.UpgradeTimeout)
	s, err := handover.Start(handover.Command{
		Path: path, Args: n.program.Args,
		Env: []string{"WATCHDOG_PID="},
	})
	if err != nil {
		return 0, err
	}
	settle := n.killOnDrain(s)
	defer func() {
		settle()
		if err != nil {
			s.Kill()
		}
	}()

	files, free := n.sockets()
	body, _ := json.Marshal(estate{ID: n.id})
	err = s.Send(handover.Message{Kind: msgSockets, Body: body, Files: files}, messageTime)
	free()
	if err == nil {
		err = awaitSuccessor(s, msgReady, deadline)
	}
	if err != nil {
		return 0, reasonOf(s, err)
	}

	n.commands.Lock() // commands to this process reach the next one
	defer n.commands.Unlock()
	h := newHeir(s.Conn, &n.upgrades.Lost)
	undo := n.suspend(h)
	if err = n.bequeath(s, deadline, settle); err != nil {
		err = reasonOf(s, err)
		s.Kill()
		undo()
		for _, m := range h.take() {
			n.receive(m)
		}
		return 0, err
	}
	n.succeeded.Store(true)
	tellManager(fmt.Sprintf("MAINPID=%d", s.Pid()))
	n.retire()
	n.heir = h
	go h.run()
	return s.Pid(), nil
}

// killOnDrain ends the successor if this process is told to end, which does not wait for it. After
// settle has returned it no longer does.
func (n *Node) killOnDrain(s *handover.Successor) (settle func()) {
	settled, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-n.draining:
			s.Kill()
		case <-settled:
		}
	}()
	return sync.OnceFunc(func() {
		close(settled)
		<-watched
	})
}

// bequeath passes on the state that must not be in two processes.
func (n *Node) bequeath(s *handover.Successor, deadline time.Time, settle func()) (err error) {
	memory, err := n.writeEstate(&estate{ID: n.id, Replication: n.replicationState})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			wipeMemory(memory) // on success the successor does that
		}
		memory.Close()
	}()
	fd, err := copyOf(memory)
	if err != nil {
		return err
	}
	err = s.Send(handover.Message{
		Kind:  msgEstate,
		Files: []handover.File{{Name: "estate", FD: fd}},
	}, messageTime)
	unix.Close(fd)
	if err != nil {
		return err
	}
	if err := awaitSuccessor(s, msgLoaded, deadline); err != nil {
		return err
	}
	settle()
	return s.Send(handover.Message{Kind: msgGo}, messageTime)
}

// wipeMemory overwrites an estate that was not taken.
func wipeMemory(f *os.File) {
	if fd, err := copyOf(f); err == nil {
		_ = handover.UseMemory(fd, func([]byte) error { return nil })
	}
}

// awaitSuccessor waits for a message of the successor.
func awaitSuccessor(s *handover.Successor, kind string, deadline time.Time) error {
	m, err := s.Receive(max(time.Until(deadline), time.Millisecond))
	switch {
	case err != nil:
		return err
	case m.Kind == msgFailed:
		return errors.New(string(m.Body))
	case m.Kind != kind:
		return fmt.Errorf("it said %q instead of %q", m.Kind, kind)
	}
	return nil
}

// reasonOf explains an error to an operator.
func reasonOf(s *handover.Successor, err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		s.Kill()
		return fmt.Errorf("the new process has ended before it was ready (%s): its output says why",
			s.State())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("the new process was not ready in time: see upgrade-timeout")
	}
	return fmt.Errorf("the new process: %w", err)
}

// suspend stops everything that must not run in two processes, and returns a function that resumes
// it here.
func (n *Node) suspend(h sessions.Heir) (undo func()) {
	if n.sessions != nil {
		n.sessions.Freeze(h)
	}
	n.engine.Hold() // no loop finds a session after it
	n.replicationState = nil
	if n.poller != nil {
		state := n.poller.Suspend()
		n.replicationState = &state
	}
	if n.subscriptions != nil {
		n.subscriptions.pause()
	}
	return func() {
		if n.subscriptions != nil {
			n.subscriptions.resume()
		}
		if n.poller != nil {
			n.poller.Resume()
		}
		if n.sessions != nil {
			n.sessions.Thaw()
		}
		n.engine.Resume()
	}
}

// retire closes what the successor has taken over.
func (n *Node) retire() {
	n.engine.GiveUp()
	if n.poller != nil {
		if err := n.poller.Retire(); err != nil {
			slog.Warn("replication did not end well", "error", err)
		}
	}
	for _, r := range n.repeaters { // or both would take datagrams from the same sockets
		_ = r.Close()
	}
	n.repeaters = nil
	if n.subscriptions != nil {
		n.subscriptions.close()
	}
	if n.memory != nil {
		_ = n.memory.Close() // wiped: the sessions are the successor's
	}
	for _, s := range n.httpServers() {
		s.LeavePath()
		go s.Shutdown(context.Background()) // it may be serving the client that asked for this
	}
}

// An httpServer serves the node's statistics.
type httpServer interface {
	Socket() (fd int, err error)
	LeavePath()
	Shutdown(ctx context.Context) error
}

func (n *Node) httpServers() (list []httpServer) {
	for _, a := range n.admins {
		list = append(list, a)
	}
	if n.stats != nil {
		list = append(list, n.stats)
	}
	for _, s := range n.routerStats {
		list = append(list, s)
	}
	return list
}
