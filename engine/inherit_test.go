package engine

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/internal/nettest"
)

// TestInherit holds that clients waiting in the queue of any loop of an engine are served by its
// successor, however many loops that has.
func TestInherit(t *testing.T) {
	for _, tt := range []struct {
		name       string
		network    string
		loops, new int
	}{
		{"as many loops", "tcp", 2, 2}, {"fewer loops", "tcp", 4, 1}, {"more loops", "tcp", 1, 3}, {"a path", "unix", 2, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testInherit(t, tt.network, tt.loops, tt.new)
		})
	}
}

// testInherit has clients wait at an engine that gives up.
func testInherit(t *testing.T, network string, loops, successors int) {
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/socket"
	}
	echo := nettest.Serve(t, nettest.Echo)
	first := startInherited(t, network, address, echo.Addr, loops, nil)
	first.Hold()
	target := first.Addresses()[0]
	var waiting []net.Conn
	for range 40 { // so that each loop's queue has some
		c, err := net.Dial(network, target)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		waiting = append(waiting, c)
	}
	second := startInherited(t, network, address, echo.Addr, successors,
		func(network, address string) (fds []int) {
			for _, s := range first.Sockets() {
				if s.Network != network || s.Address != address {
					t.Errorf("a socket of %s %s, want %s %s", s.Network, s.Address, network, address)
				}
				fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				fds = append(fds, fd)
			}
			return fds
		})
	first.GiveUp()
	if got := second.Addresses()[0]; got != target {
		t.Errorf("the successor is at %s, want %s", got, target)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	late, err := net.Dial(network, target)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	for i, c := range append(waiting, late) {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, "ping")
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
	}
	if n := first.Stats().Flows.Accepted.Load(); n != 0 {
		t.Errorf("%d clients were accepted while that was held", n)
	}
}

// startInherited runs an engine that takes over sockets.
func startInherited(t *testing.T, network, address, backendAddr string, loops int,
	inherit func(network, address string) []int,
) *Engine {
	o := testOptions()
	o.Loops, o.Inherit = loops, inherit
	e, err := New(o, []Listener{{
		Network: network, Address: address, Pools: newRouter(t, backend.TCP,
			backendAddr), IdleTimeout: time.Minute,
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() { e.Close() })
	return e
}

// TestHoldAndResume holds that clients that came meanwhile are served afterwards.
func TestHoldAndResume(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	e, addr := startListener(t, testOptions(), Listener{Pools: newRouter(t, backend.TCP, echo.Addr)},
		false)
	e.Hold()
	c := dialRaw(t, addr)
	e.Resume()
	_, _ = io.WriteString(c, "ping")
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Error(err)
	}
}
