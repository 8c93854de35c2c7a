package requests

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestBackendKilledUnderLoad: requests that come whether or not the earlier ones
// are answered do not notice that one of two backends dies and comes back.
func TestBackendKilledUnderLoad(t *testing.T) {
	rate, phase := 2000, time.Second
	if harness.RaceEnabled {
		rate = 300
	}
	// So long that many requests are in progress when a backend dies.
	slow := harness.ServeHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		io.WriteString(w, "page")
	})
	block := fmt.Sprintf("location / { proxy_pass http://%s; proxy_http_version 1.1; }", slow)
	addrs := []string{nettest.FreeAddr(t), nettest.FreeAddr(t)}
	victim := harness.StartNginx(t, addrs[0], block)
	harness.StartNginx(t, addrs[1], block)
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(addrs[0]), harness.HTTPTo(addrs[1]), "--http-gracetime", "200ms")
	client := harness.HTTPClient(t, harness.With(harness.ClientConfig(pki),
		func(c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(1) }),
		func(tr *http.Transport) { tr.MaxConnsPerHost, tr.MaxIdleConnsPerHost = 300, 300 })
	url := "https://" + s.Addr() + "/"

	o := &openLoad{T: t, client: client, url: url, rate: rate}
	hits := func(i int) uint64 { return s.Document().Backends.Nodes[i].Hits }
	o.run(phase)
	if hits(0) == 0 || hits(1) == 0 {
		t.Errorf("before: %d and %d connections to the backends, want some to both", hits(0), hits(1))
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		time.Sleep(phase / 4) // in mid-load
		victim.Kill()
	}()
	o.run(phase)
	<-killed
	before := hits(0)
	harness.StartNginx(t, addrs[0], block)
	o.run(phase)
	o.requests.Wait()
	nettest.Eventually(t, harness.Patience, func() bool {
		_, _, err := harness.Fetch(client, "GET", url, nil)
		return err == nil && hits(0) > before
	}, "the backend that came back is used")
	d := s.Document()
	t.Logf("%d of %d requests failed; retried %d, reused %d; %+v", o.failed.Load(), o.sent.Load(), d.Engine.HTTP.Retried, d.Engine.HTTP.Reused,
		d.Backends.Nodes)
	if d.Backends.Nodes[0].Failures == 0 || d.Engine.HTTP.Retried == 0 {
		t.Error("nobody noticed that the backend was gone")
	}
	if d.Engine.HTTP.Responses["5xx"] > 0 {
		t.Errorf("%d responses of 5xx", d.Engine.HTTP.Responses["5xx"])
	}
}

// An openLoad is requests at a rate.
type openLoad struct {
	*testing.T
	client       *http.Client
	url          string
	rate         int // a second
	requests     sync.WaitGroup
	sent, failed atomic.Int64
}

// run sends due requests for a while, whether or not earlier ones are answered.
func (o *openLoad) run(phase time.Duration) {
	begun := time.Now()
	for n := 0; time.Since(begun) < phase; {
		for due := int(time.Since(begun).Seconds() * float64(o.rate)); n < due; n++ {
			o.sent.Add(1)
			o.requests.Go(func() {
				if resp, body, err := harness.Fetch(o.client, "GET", o.url, nil); err != nil ||
					resp.StatusCode != 200 || body != "page" {
					o.failed.Add(1)
					o.Errorf("got %+v %q, %v", resp, body, err)
				}
			})
		}
		time.Sleep(time.Millisecond) // the rate, not a wait
	}
}

// TestBackendThatNeverAnswers: the client gets an error when http-timeout is over, and the operator
// can see why.
func TestBackendThatNeverAnswers(t *testing.T) {
	for _, scheme := range []string{"http://", "uwsgi://"} {
		for _, test := range []struct {
			name   string
			handle nettest.Handler
			body   int64
		}{
			{"reads", nettest.Discard, 0},
			{"reads a body", nettest.Discard, 1000},
			{"reads nothing", nettest.Silent, 0},
			{"reads nothing of a large body", nettest.Silent, 32 * harness.MiB},
		} {
			t.Run(scheme+test.name, func(t *testing.T) {
				s, pki := harness.StartHTTPS(t, "--http-to="+scheme+nettest.Serve(t, test.handle).Addr, "--http-timeout", "300ms")
				conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
				begun := time.Now()
				go func() {
					fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", test.body)
					io.Copy(conn, nettest.NewPattern(1, test.body))
				}()
				a, err := harness.ReadAnswer(bufio.NewReader(conn), "POST")
				if err != nil || a.Status != http.StatusGatewayTimeout {
					t.Errorf("got %+v, %v, want 504", a, err)
				}
				if d := time.Since(begun); d < 290*time.Millisecond { // timers tick by the millisecond
					t.Errorf("after %v already", d)
				}
				if d := s.Document(); d.Engine.HTTP.Responses["5xx"] != 1 || d.Backends.Nodes[0].Failures != 1 {
					t.Errorf("counted %v and %+v", d.Engine.HTTP.Responses, d.Backends.Nodes[0])
				}
			})
		}
	}
}

// TestStoppedHTTPReadersCostBoundedMemory: as with plain relays, backpressure
// reaches HTTP backends, and nothing is lost.
func TestStoppedHTTPReadersCostBoundedMemory(t *testing.T) {
	const (
		readers       = 100
		highWatermark = 256 << 10
		readSize      = 48 << 10
		// as in TestStoppedReadersCostBoundedMemory
		bound = readers * 3 * (highWatermark + readSize)
	)
	n := harness.Bulk()
	var served atomic.Int64
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		}
		io.Copy(w, nettest.NewPattern(4, n))
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend), "--high-watermark", fmt.Sprint(highWatermark))
	before := harness.RSS(t, s)
	conns := make([]*tls.Conn, readers)
	for i := range conns {
		conns[i] = harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
		harness.SetReadBuffer(conns[i], 64<<10)
		fmt.Fprintf(conns[i], "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", []string{"/length", "/chunked"}[i%2])
	}
	s.Await("all responses start", func(harness.Document) bool { return served.Load() == readers })
	s.AwaitStill()
	harness.WantGrown(t, s, before, bound)
	if d := s.Document(); d.Engine.Flows.PlainOutBytes >= readers*uint64(n) {
		t.Error("nothing was held up")
	}
	for _, i := range []int{readers - 2, readers - 1} {
		resp, err := http.ReadResponse(bufio.NewReader(conns[i]), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := nettest.CheckPattern(resp.Body, 4, n); err != nil {
			t.Error("one that goes on:", err)
		}
	}
}

// TestPacesOfHTTPClients: however a client reads, it gets all of a response.
func TestPacesOfHTTPClients(t *testing.T) {
	for _, path := range []string{"/length", "/chunked"} {
		for _, p := range harness.Paces[1:] { // TestLargeBodies has the fast one
			t.Run(path+"/"+p.Name, func(t *testing.T) {
				n := p.N() / 2
				s, pki := harness.StartHTTPS(t, harness.HTTPTo(harness.ServeHTTP(t,
					func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/length" {
							w.Header().Set("Content-Length", fmt.Sprint(n))
						}
						io.Copy(w, nettest.NewPattern(6, n))
					})))
				conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
				fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
				resp, err := http.ReadResponse(bufio.NewReader(p.Read(s, conn)), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := nettest.CheckPattern(resp.Body, 6, n); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestStoppedBackendsCostBoundedMemory: uploads to a backend that does not read
// wait at the clients, and arrive whole when it does.
func TestStoppedBackendsCostBoundedMemory(t *testing.T) {
	const (
		clients       = 50
		highWatermark = 256 << 10
		readSize      = 48 << 10
		bound         = clients * 3 * (highWatermark + readSize)
		n             = 8 * harness.MiB // more than the kernel holds on the way
	)
	for _, scheme := range []string{"http://", "uwsgi://"} {
		t.Run(scheme, func(t *testing.T) {
			release := make(chan struct{})
			backend := nettest.Serve(t, func(conn net.Conn) {
				readLate(t, conn, release, scheme, n)
			})
			goOn := sync.OnceFunc(func() { close(release) })
			t.Cleanup(goOn)
			s, pki := harness.StartHTTPS(t, "--http-to="+scheme+backend.Addr, "--high-watermark", fmt.Sprint(highWatermark))
			before := harness.RSS(t, s)
			results := make(chan error, clients)
			for range clients {
				conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
				harness.TCP(conn).SetWriteBuffer(64 << 10)
				go func() {
					fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", n)
					if _, err := io.Copy(conn, nettest.NewPattern(5, n)); err != nil {
						results <- err
						return
					}
					a, err := harness.ReadAnswer(bufio.NewReader(conn), "POST")
					if err == nil && a.Body != "read" {
						err = fmt.Errorf("got %+v", a)
					}
					results <- err
				}()
			}
			s.Await("all uploads start", func(harness.Document) bool { return backend.Accepted() == clients })
			s.AwaitStill()
			harness.WantGrown(t, s, before, bound)
			if got := s.Document().Engine.Flows.PlainInBytes; got >= clients*n {
				t.Error("nothing was held up")
			}
			goOn()
			for range clients {
				if err := <-results; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// readLate reads a request of n bytes once it may.
func readLate(t *testing.T, conn net.Conn, release <-chan struct{}, scheme string, n int64) {
	conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	<-release
	r := bufio.NewReader(conn)
	if scheme == "http://" {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if err := nettest.CheckPattern(req.Body, 5, n); err != nil {
			t.Error(err)
		}
	} else {
		prefix := make([]byte, 4)
		io.ReadFull(r, prefix)
		r.Discard(int(prefix[1]) | int(prefix[2])<<8)
		if err := nettest.CheckPattern(io.LimitReader(r, n), 5, n); err != nil {
			t.Error(err)
		}
	}
	io.WriteString(conn, ok+"Content-Length: 4\r\n\r\nread")
}

// TestPipelinedRedirectsUnread: a client that sends requests and never reads costs bounded memory,
// and gets all responses when it does read.
func TestPipelinedRedirectsUnread(t *testing.T) {
	addr := nettest.FreeAddr(t)
	s := harness.Start(t, "--http-to-https", addr, "--add-header", "X-Long: "+strings.Repeat("x", 1000))
	conn := harness.DialRaw(t, addr).(*net.TCPConn)
	conn.SetReadBuffer(256 << 10)
	n := 100_000 // 120 MB of answers
	if harness.RaceEnabled {
		n = 20_000
	}
	sent := make(chan error, 1)
	go func() {
		for range n / 1000 {
			if _, err := io.WriteString(conn, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1000)); err != nil {
				sent <- err
				return
			}
		}
		sent <- conn.CloseWrite()
	}()
	s.AwaitStill()
	if got := harness.RSS(t, s); got > 100*harness.MiB && !harness.RaceEnabled {
		t.Errorf("%d MiB for answers that nobody reads", got/harness.MiB)
	}
	got := 0
	for r := bufio.NewReader(conn); ; got++ {
		if a, err := harness.ReadAnswer(r, "GET"); err != nil {
			break
		} else if a.Status != 301 {
			t.Fatalf("answer %d: %+v", got, a)
		}
	}
	if err := <-sent; err != nil || got != n {
		t.Errorf("%d answers, want %d; %v", got, n, err)
	}
}

// TestIdleClientsHoldNoBuffers: a connection that waits for its next request costs
// no more than one that waits for its first.
func TestIdleClientsHoldNoBuffers(t *testing.T) {
	const clients = 1000
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write(make([]byte, 100_000))
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend), "--http-processes", "1")
	config := harness.With(harness.ClientConfig(pki),
		func(c *tls.Config) { c.ClientSessionCache = nil })
	request := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\nX-Long: " + strings.Repeat("x", 10_000) + "\r\n\r\n" + strings.Repeat("x", 50_000)
	use := func(conn *tls.Conn) {
		t.Helper()
		go io.WriteString(conn, request)
		if a := harness.MustAnswer(t, bufio.NewReader(conn)); a.Status != 200 || len(a.Body) != 100_000 ||
			a.Close {
			t.Fatalf("got %d, %d bytes, close %v", a.Status, len(a.Body), a.Close)
		}
	}
	use(harness.Connect(t, s.Addr(), config)) // so that the loop has all that it keeps
	empty := heap(t, s)
	conns := make([]*tls.Conn, clients)
	for i := range conns {
		conns[i] = harness.Connect(t, s.Addr(), config)
	}
	s.Await("all are there", func(d harness.Document) bool { return d.Engine.TLS.Handshakes["tls13_full"] > clients })
	unused, unusedRSS := heap(t, s), harness.RSS(t, s)
	for _, conn := range conns {
		use(conn)
	}
	// State that TLS can rebuild is dropped a second after the last byte.
	var used int64
	nettest.Eventually(t, harness.Patience, func() bool {
		used = heap(t, s)
		return harness.RaceEnabled || (used-unused)/clients <= 256
	}, "connections to hold no more than before their first request")
	usedRSS := harness.RSS(t, s)
	t.Logf("a connection costs %d bytes of heap before its first request, %d after it; resident %d KiB more for each",
		(unused-empty)/clients, (used-empty)/clients, (usedRSS-unusedRSS)/clients>>10)
}

// heap is the memory in use after a collection. Pools drop items that are unused for two of them.
func heap(t *testing.T, s *harness.Server) int64 {
	t.Helper()
	var profile string
	for range 3 {
		_, profile = s.Get("/debug/pprof/heap?gc=1&debug=1")
	}
	m := regexp.MustCompile(`# HeapAlloc = (\d+)`).FindStringSubmatch(profile)
	if m == nil {
		t.Fatal("not a heap profile")
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n
}
