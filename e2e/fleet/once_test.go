package fleet

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A heldConn delays all writes of a client after its first flight.
type heldConn struct {
	net.Conn
	answered chan struct{} // closed when the server has answered
	release  chan struct{} // closed when the rest may go out
	written  bool
	once     sync.Once
}

func (c *heldConn) Write(p []byte) (int, error) {
	if c.written {
		<-c.release
	}
	c.written = true
	return c.Conn.Write(p)
}

func (c *heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.once.Do(func() { close(c.answered) })
	return n, err
}

// An attempt is a handshake whose client does not finish before it is told to.
type attempt struct {
	conn *heldConn
	done chan error
	tls  *tls.Conn
}

func (h *goHolder) begin(t *testing.T, addr string) *attempt {
	t.Helper()
	raw, err := nettest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(harness.Patience))
	t.Cleanup(func() { raw.Close() })
	a := &attempt{conn: &heldConn{
		Conn: raw, answered: make(chan struct{}),
		release: make(chan struct{}),
	}, done: make(chan error, 1)}
	a.tls = tls.Client(a.conn, h.config)
	go func() { a.done <- askLine(a.tls) }()
	<-a.conn.answered
	return a
}

// finish lets the client go on and reports whether it resumed.
func (a *attempt) finish() (resumed bool, err error) {
	close(a.conn.release)
	err = <-a.done
	return err == nil && a.tls.ConnectionState().DidResume, err
}

// TestOnceMeansOnce: a single-use session is offered several times before any of
// the clients finishes its handshake. At most one may resume it.
func TestOnceMeansOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, mode string
		nodes      []int // where the session of node 0 is offered
	}{
		{"at two nodes", "", []int{0, 1}},
		{"at two others", "", []int{1, 2}},
		{"twice at its owner", "", []int{0, 0}},
		{"twice at another node", "", []int{1, 1}},
		{"everywhere", "", []int{2, 1, 0, 2, 1, 0}},
		{"pulled twice at one node", "pull", []int{1, 1}},
		{"pulled at two others", "pull", []int{1, 2}},
		{"pulled and at its owner", "pull", []int{1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			options := append([]string{"--ssl-sessions-single-use"}, quickFleet...)
			if test.mode != "" {
				options = append(options, "--cache-replication="+test.mode)
			}
			f := startFleet(t, 3, options...)
			for _, version := range versions {
				h := f.goHolder(0, version)
				if test.mode == "" {
					f.awaitLevel()
				}
				var attempts []*attempt
				for _, i := range test.nodes {
					attempts = append(attempts, h.begin(t, f.TLS(i)))
				}
				resumed, served := 0, 0
				var all error
				for _, a := range attempts {
					did, err := a.finish()
					if did {
						resumed++
					}
					if err == nil {
						served++
					}
					all = errors.Join(all, err)
				}
				if resumed > 1 {
					t.Errorf("%v: resumed %d times", h, resumed)
				}
				if served == 0 {
					t.Errorf("%v: nobody was served: %v", h, all)
				}
				t.Logf("%v: %d of %d resumed, %d served: %v", h, resumed, len(attempts), served, all)
				for i := range f.Nodes {
					if resumed > 0 && f.resumes(i, h) {
						t.Errorf("%v: resumed once more at node %d", h, i)
					}
				}
			}
		})
	}
}

// awaitLevel waits until all nodes remember the same number of sessions.
func (f *fleet) awaitLevel() {
	f.T.Helper()
	nettest.Eventually(f.T, harness.Patience, func() bool {
		items := f.Nodes[0].Shared().Caches[0].Items
		for _, n := range f.Nodes[1:] {
			if n.Shared().Caches[0].Items != items {
				return false
			}
		}
		return items > 0
	}, "all nodes have all sessions")
}
