package handshake

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

const (
	// mostWait is how long a resumed client may take under a flood of full handshakes, from
	// connecting to an answer, by the 99th percentile.
	mostWait = 25 * time.Millisecond
	// leastKept is how much of their throughput established streams keep meanwhile.
	leastKept = 0.9
)

// TestFloodOfFullHandshakes: clients that begin full handshakes, ten times more of them than a core
// can make, do not keep resuming and connected clients from being served.
//
// How long the former wait and how much throughput the latter keep is printed. It must stay within
// mostWait and leastKept if REPRISE_LONG is in the environment, for which the machine must be
// quiet:
//
//	REPRISE_LONG=1 go test ./e2e/handshake -run FloodOfFullHandshakes -v
func TestFloodOfFullHandshakes(t *testing.T) {
	for _, key := range []testpki.KeyType{testpki.RSA, testpki.ECDSA} {
		t.Run(fmt.Sprint(key), func(t *testing.T) {
			length, long := time.Second, os.Getenv("REPRISE_LONG") != ""
			if long {
				length = 5 * time.Second
			}
			n := start(t, key, "", "--max-connections=20000")
			cost := n.costOfFull(t, 100)
			streams := n.startStreams(t, 4)
			resumed := n.startReturning(t)
			time.Sleep(length / 4) // until the collector has seen the start
			quiet := watch(t, length, streams, resumed)

			hello := hex.EncodeToString(harness.ClientHello(t, n.config(tls.VersionTLS13)))
			before := n.flows(t)
			flooder := nettest.Start(t, nettest.Command{
				Path: os.Args[0], Env: append(os.Environ(), floodTarget+"="+n.Addr(),
					floodHello+"="+hello), Timeout: harness.Patience,
			})
			nettest.Eventually(t, harness.Patience,
				func() bool { return n.flows(t).Accepted > before.Accepted+1000 }, "the flood has come")
			before = n.flows(t)
			began := time.Now()
			flooded := watch(t, length, streams, resumed)
			took := time.Since(began)
			after := n.flows(t)
			flooder.Kill()

			offered := float64(after.Accepted-before.Accepted) / took.Seconds()
			kept := flooded.rate() / quiet.rate()
			t.Logf("a full handshake costs %v; the flood offered %.0f per second, %.1f times what a core can make; %d were delayed, %v",
				cost, offered, offered*cost.Seconds(), after.Delayed-before.Delayed, after.Closed)
			t.Logf("resumed: %d with p50 %v, p99 %v when it is quiet; %d with %v, %v under the flood",
				len(quiet.waits), quiet.percentile(50), quiet.percentile(99), len(
					flooded.waits), flooded.percentile(50), flooded.percentile(99))
			t.Logf("streams: %.1f MB/s when it is quiet, %.1f under the flood: %.2f", quiet.rate()/1e6, flooded.rate()/1e6, kept)
			if after.Delayed == before.Delayed {
				t.Error("no full handshake had to wait")
			}
			if long && flooded.percentile(99) > mostWait {
				t.Errorf("resumed clients take %v under the flood, want %v at most", flooded.percentile(99), mostWait)
			}
			if long && kept < leastKept {
				t.Errorf("streams keep %.2f of their throughput, want %.2f", kept, leastKept)
			}
			streams.stop()
			resumed.stop()
			// New clients are served again when the flood is over.
			conn := n.connect(t, n.config(tls.VersionTLS13))
			if err := harness.Ping(conn); err != nil {
				t.Error(err)
			}
		})
	}
}

// costOfFull returns the CPU time that a full handshake takes.
func (n *node) costOfFull(t *testing.T, handshakes int) time.Duration {
	t.Helper()
	cpu := func() time.Duration {
		d, err := nettest.CPUTime(n.Pid())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := cpu()
	for range handshakes {
		conn := tls.Client(n.dial(t), n.config(tls.VersionTLS13))
		if err := harness.Ping(conn); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	return (cpu() - before) / time.Duration(handshakes)
}

// flows are the counters of connections.
type flows struct {
	Accepted uint64            `json:"accepted"`
	Delayed  uint64            `json:"full_handshakes_delayed"`
	Closed   map[string]uint64 `json:"closed"`
}

func (n *node) flows(t *testing.T) flows {
	t.Helper()
	var document struct{ Engine struct{ Flows flows } }
	n.Decode(&document)
	for cause, count := range document.Engine.Flows.Closed {
		if count == 0 {
			delete(document.Engine.Flows.Closed, cause)
		}
	}
	return document.Engine.Flows
}

// load is something that goes on until stop.
type load struct {
	stopping atomic.Bool
	group    sync.WaitGroup
	bytes    atomic.Int64
	mu       sync.Mutex // guards waits
	waits    []time.Duration
}

func (l *load) stop() {
	l.stopping.Store(true)
	l.group.Wait()
}

// startStreams sends through the node and back, at a steady rate that leaves it idle for
// the most part.
func (n *node) startStreams(t *testing.T, streams int) *load {
	const piece, every = 32 << 10, 5 * time.Millisecond
	l := new(load)
	for range streams {
		conn := n.connect(t, n.config(tls.VersionTLS13))
		conn.SetDeadline(time.Time{})
		l.group.Go(func() {
			p := make([]byte, piece)
			for next := time.Now(); !l.stopping.Load(); next = next.Add(every) {
				time.Sleep(time.Until(next))
				if _, err := conn.Write(p); err != nil {
					t.Errorf("a stream broke: %v", err)
					break
				}
			}
			conn.CloseWrite()
		})
		l.group.Go(func() {
			p := make([]byte, piece)
			for {
				n, err := conn.Read(p)
				if err != nil {
					if err != io.EOF {
						t.Errorf("a stream broke: %v", err)
					}
					return
				}
				l.bytes.Add(int64(n))
			}
		})
	}
	return l
}

// startReturning resumes, one connection after the other.
func (n *node) startReturning(t *testing.T) *load {
	l := new(load)
	config := n.config(tls.VersionTLS13)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	visit := func() (resumed bool, err error) {
		raw, err := nettest.Dial(n.Addr())
		if err != nil {
			return false, err
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(harness.Patience))
		conn := tls.Client(raw, config)
		if err := harness.Ping(conn); err != nil {
			return false, err
		}
		return conn.ConnectionState().DidResume, nil
	}
	if _, err := visit(); err != nil {
		t.Fatal(err)
	}
	l.group.Go(func() {
		for !l.stopping.Load() {
			began := time.Now()
			resumed, err := visit()
			if err != nil || !resumed {
				t.Errorf("a client with a session: resumed %v, %v", resumed, err)
				return
			}
			l.mu.Lock()
			l.waits = append(l.waits, time.Since(began))
			l.mu.Unlock()
		}
	})
	return l
}

// seen is the work served in a time.
type seen struct {
	took  time.Duration
	bytes int64
	waits []time.Duration // in order
}

func watch(t *testing.T, length time.Duration, streams, resumed *load) (s seen) {
	resumed.mu.Lock()
	first := len(resumed.waits)
	resumed.mu.Unlock()
	bytes, began := streams.bytes.Load(), time.Now()
	time.Sleep(length)
	// Of a flood that fills the kernel's queue too, a client's first packet may be the victim,
	// which it sends again after a second.
	nettest.Eventually(t, harness.Patience, func() bool {
		resumed.mu.Lock()
		defer resumed.mu.Unlock()
		return len(resumed.waits) > first && streams.bytes.Load() > bytes
	}, "somebody is served")
	s.bytes, s.took = streams.bytes.Load()-bytes, time.Since(began)
	resumed.mu.Lock()
	s.waits = slices.Clone(resumed.waits[first:])
	resumed.mu.Unlock()
	slices.Sort(s.waits)
	return s
}

func (s *seen) rate() float64 { return float64(s.bytes) / s.took.Seconds() }

func (s *seen) percentile(p int) time.Duration {
	if len(s.waits) == 0 {
		return 0
	}
	return s.waits[len(s.waits)*p/100]
}

// The environment of a process that floods instead of testing.
const (
	floodTarget = "REPRISE_FLOOD_TARGET"
	floodHello  = "REPRISE_FLOOD_HELLO"
)

// TestMain makes the flooder a process of its own, so that it does not share a scheduler with the
// measured clients.
func TestMain(m *testing.M) {
	target := os.Getenv(floodTarget)
	if target == "" {
		os.Exit(m.Run())
	}
	hello, err := hex.DecodeString(os.Getenv(floodHello))
	if err == nil {
		err = flood(target, hello)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// flood begins handshakes and leaves them alone for a while, until it is killed.
func flood(target string, hello []byte) error {
	// in production it would run on other machines
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10)
	host, portName, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portName)
	if err != nil {
		return err
	}
	to := &syscall.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(host).To4())}
	begin := func() (int, error) {
		fd, err := syscall.Socket(syscall.AF_INET,
			syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			return -1, err
		}
		_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		if err := syscall.Connect(fd, to); err != nil && err != syscall.EINPROGRESS {
			syscall.Close(fd)
			return -1, err
		}
		_, _ = syscall.Write(fd, hello) // on loopback it is connected by now, unless the queue is full
		return fd, nil
	}
	held := make([]int, 500)
	for i := 0; ; i = (i + 1) % len(held) {
		if held[i] > 0 {
			syscall.Close(held[i])
		}
		if held[i], err = begin(); err != nil {
			held[i] = 0
			time.Sleep(time.Millisecond)
		}
	}
}
