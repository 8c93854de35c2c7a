package engine

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
	"reprise/internal/reactor"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// A gatedSigner makes no signature before the gate is open, and counts them.
type gatedSigner struct {
	crypto.Signer
	gate   chan bool
	signed atomic.Int64
}

func (g *gatedSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	<-g.gate
	g.signed.Add(1)
	return g.Signer.Sign(r, digest, opts)
}

// The cost of an RSA signature is spent only on clients that wait for it: those that send hellos
// and leave get none, and do not make others wait.
func TestGoneClientsCostNoSignature(t *testing.T) {
	gone := 6000
	if testing.Short() {
		gone = 300
	}
	cert := testpki.New(t).Server(testpki.RSA, "localhost").TLS
	signer := &gatedSigner{Signer: cert.PrivateKey.(crypto.Signer), gate: make(chan bool)}
	cert.PrivateKey = signer
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: cert}})
	if err != nil {
		t.Fatal(err)
	}
	workers := newWorker(2 * gone)
	o := testOptions()
	o.MaxConnections, o.MaxHandshakes, o.HandshakeTimeout = 20000, 10000, time.Minute
	e, addr := startTLS(t, o, tlsconn.Config{Certificates: certs, Workers: workers})
	hello := clientHello(t)
	for i := range gone {
		c := leavingClient(t, addr)
		if _, err := c.Write(hello); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = c.SetLinger(0) // a reset
		}
		c.Close()
	}
	nettest.Eventually(t, time.Minute, func() bool {
		s := e.Stats()
		return s.Flows.Open.Load() == 0 && s.Flows.Accepted.Load() >= uint64(gone)
	}, "flows whose clients have left end while their signatures wait")

	done := make(chan error, 1)
	go func() {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			err = c.Close()
		}
		done <- err
	}()
	nettest.Eventually(t, time.Minute, func() bool { return e.Stats().Flows.Open.Load() == 1 }, "the next client is accepted")
	start := time.Now()
	close(signer.gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d clients left; the next one waited %v", gone, time.Since(start))
	workers.close()
	// One was under way before the first client had left.
	if got := signer.signed.Load(); got > 2 {
		t.Errorf("%d signatures for one client", got)
	}
}

// leavingClient connects, for a test that closes the connection itself.
func leavingClient(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// A worker runs jobs in order of arrival, as package workpool does while it keeps up.
type worker struct {
	mu    sync.Mutex // guards the queue's end
	done  bool
	queue chan func()
	ended chan bool
}

func newWorker(queue int) *worker {
	w := &worker{queue: make(chan func(), queue), ended: make(chan bool)}
	go func() {
		for work := range w.queue {
			work()
		}
		close(w.ended)
	}()
	return w
}

func (w *worker) TrySubmit(work func(), abandoned *atomic.Bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return false
	}
	select {
	case w.queue <- func() {
		if !abandoned.Load() {
			work()
		}
	}:
		return true
	default:
		return false
	}
}

func (w *worker) close() {
	w.mu.Lock()
	w.done = true
	close(w.queue)
	w.mu.Unlock()
	<-w.ended
}

// startTLS serves one listener in front of an echo until the test ends.
func startTLS(t *testing.T, o Options, c tlsconn.Config) (*Engine, string) {
	t.Helper()
	ln := Listener{
		Network: "tcp", Address: "127.0.0.1:0", IdleTimeout: time.Minute,
		Pools: newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr),
		TLS: func(now func() time.Time) (tlsconn.Server, error) {
			c.Now = now
			return tlsconn.New(c)
		},
	}
	e := startListeners(t, o, ln)
	return e, e.Addresses()[0]
}

// heldWorkers keep jobs until they are told to run them.
type heldWorkers struct{ work chan func() }

func (w *heldWorkers) TrySubmit(work func(), _ *atomic.Bool) bool {
	w.work <- work
	return true
}

// A client whose certificate is being verified may have sent everything already, including its FIN,
// and is still owed the answer; one that resets is not.
func TestClientEndsWhileItsCertificateIsVerified(t *testing.T) {
	pki := testpki.New(t)
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: pki.Server(testpki.ECDSA,
		"localhost").TLS}})
	if err != nil {
		t.Fatal(err)
	}
	workers := &heldWorkers{work: make(chan func(), 1)}
	e, addr := startTLS(t, oneLoop(), tlsconn.Config{
		Certificates: certs, Workers: workers,
		Policy: tlsconn.Policy{
			ClientAuth: tlsconn.RequireClientCert,
			ClientCAs:  []*x509.Certificate{pki.CA.Cert().TLS.Leaf},
		},
	})
	config := &tls.Config{
		InsecureSkipVerify: true, Certificates: []tls.Certificate{pki.Client("client").TLS},
		MinVersion: tls.VersionTLS13,
	}
	connect := func() (*net.TCPConn, *tls.Conn) {
		raw := dialRaw(t, addr)
		c := tls.Client(raw, config)
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		return raw, c
	}

	raw, c := connect()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := raw.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	work := <-workers.work
	nettest.Eventually(t, 10*time.Second, func() bool { return ended(e) }, "the loop hears of the FIN")
	work()
	if got, err := io.ReadAll(c); err != nil || string(got) != "question" {
		t.Errorf("after a FIN: got %q, %v; want the answer", got, err)
	}
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Open.Load() == 0 }, "the flow ends")

	raw, _ = connect()
	work = <-workers.work
	_ = raw.SetLinger(0)
	raw.Close()
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Open.Load() == 0 }, "a reset ends the flow at once")
	work() // too late, and harmless
}

// ended reports whether the engine's only flow has seen its client's FIN.
func ended(e *Engine) bool {
	answer := make(chan bool, 1)
	l := e.loops[0]
	l.reactor.Post(func(any) {
		found := false
		l.reactor.Each(func(_ int, h reactor.Handler) {
			if f, ok := h.(*flow); ok && f.client.input != inputOpen {
				found = true
			}
		})
		answer <- found
	}, nil)
	return <-answer
}
