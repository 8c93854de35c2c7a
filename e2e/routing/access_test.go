package routing

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// awaitLog waits until n lines are in the file.
func awaitLog(t *testing.T, path string, n int) []harness.LogLine {
	t.Helper()
	var text []byte
	nettest.Eventually(t, harness.Patience, func() bool {
		text, _ = os.ReadFile(path)
		return bytes.Count(text, []byte("\n")) >= n
	}, "%d lines in the log", n)
	lines := harness.ParseLog(t, text)
	if len(lines) != n {
		t.Fatalf("got %d lines, want %d:\n%s", len(lines), n, text)
	}
	return lines
}

// TestAccessLogOfRequests: a line has the client, the request, TLS, the backend and the times.
func TestAccessLogOfRequests(t *testing.T) {
	option, path := harness.AccessLog(t)
	page := harness.ServeName(t)
	pki := testpki.New(t)
	s := harness.Start(t, option, harness.OneLoop, harness.HTTPTo(page),
		harness.HTTPS(pki.Server(testpki.ECDSA, "localhost"), "clientca="+pki.CAFile), "--http=127.0.0.1:0")
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		os.Truncate(path, 0)
		config, _ := harness.OneSessionConfig(pki, version)
		config.Certificates = []tls.Certificate{pki.Client("Alice").TLS}
		begun := time.Now().Add(-time.Second)
		var cipher uint16
		for range 2 {
			client := harness.HTTPClient(t, config, nil)
			for range 2 {
				resp, _, err := harness.Fetch(client, "GET", "https://"+s.Addr()+"/a?b", nil, "Referer", "there", "User-Agent", `a "test"`)
				if err != nil {
					t.Fatal(err)
				}
				cipher = resp.TLS.CipherSuite
			}
			client.CloseIdleConnections()
		}
		for i, l := range awaitLog(t, path, 4) {
			if l.Time.Before(begun) || l.Time.After(time.Now()) || !harness.OpenSSLNames(cipher, l.Cipher) ||
				!strings.HasPrefix(l.Client, "127.0.0.1:") ||
				l.Handshake <= 0 || l.Total <= 0 || l.FirstByte > l.Total || l.In < 50 || l.Out < 100 {
				t.Errorf("line %d: %+v", i, l)
			}
			if (l.Connect > 0) == l.KeptAlive {
				t.Errorf("line %d: connected in %v, kept alive %v", i, l.Connect, l.KeptAlive)
			}
			got := l
			got.Time, got.Client, got.Cipher, got.KeptAlive, got.In, got.Out = time.Time{}, "", "", false, 0, 0
			got.Handshake, got.Connect, got.FirstByte, got.Total = 0, 0, 0, 0
			want := harness.LogLine{
				Listener: s.Addr(), Router: "https", TLS: openSSLVersion(version), SNI: "localhost", Outcome: "new_client", ClientCert: "Alice",
				Method: "GET", Target: "/a?b", Proto: "HTTP/1.1", Host: s.Addr(), Status: 200, Referer: "there", UserAgent: `a "test"`,
				Backend: "http://" + page, Request: 1 + i%2,
			}
			if i >= 2 {
				want.Resumed, want.Outcome = "local", "resumed_local"
			}
			if got != want {
				t.Errorf("line %d:\ngot  %+v\nwant %+v", i, got, want)
			}
		}
	})
	os.Truncate(path, 0)
	harness.WantPage(t, harness.HTTPClient(t, nil, nil), "http://"+s.Addresses[1]+"/", page)
	if l := awaitLog(t, path, 1)[0]; l.Router != "http" || l.TLS+l.Cipher+l.SNI+l.Outcome != "" ||
		l.Handshake != 0 || l.Status != 200 {
		t.Errorf("without TLS: %+v", l)
	}
}

// TestAccessLogOfConnections: the line of a relayed connection has its bytes and how it ended.
func TestAccessLogOfConnections(t *testing.T) {
	option, path := harness.AccessLog(t)
	echo := nettest.Serve(t, nettest.Echo).Addr
	pki := testpki.New(t)
	s := harness.Start(t, option, harness.Listen(pki.Server(testpki.ECDSA, "localhost"), "alpn=smtp"), harness.To(echo),
		harness.RawListen, harness.RawTo(echo))
	config := harness.With(harness.ClientConfig(pki),
		func(c *tls.Config) { c.NextProtos = []string{"smtp"} })

	harness.Visit(t, s.Addr(), config)
	l := awaitLog(t, path, 1)[0]
	if l.Router != "sslrouter" || l.Listener != s.Addr() || l.TLS != "TLSv1.3" || l.ALPN != "smtp" || l.SNI != "localhost" ||
		l.Outcome != "new_client" || l.Backend != echo ||
		l.In != 5 || l.Out != 5 || l.Method != "" || l.Status != 0 || l.Request != 0 || l.Cause != "" ||
		l.Connect <= 0 || l.Total < l.Handshake {
		t.Errorf("got %+v", l)
	}

	conn := harness.Connect(t, s.Addr(), config)
	if err := harness.Ping(conn); err != nil {
		t.Fatal(err)
	}
	harness.TCP(conn).Close()
	if l := awaitLog(t, path, 2)[1]; l.Cause != "truncated" || l.Resumed != "local" || l.In != 5 {
		t.Errorf("one that was cut: %+v", l)
	}

	raw := harness.DialRaw(t, s.Addresses[1])
	if err := harness.Ping(raw); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	if l := awaitLog(t, path, 3)[2]; l.Router != "rawrouter" || l.Listener != s.Addresses[1] || l.TLS != "" ||
		l.In != 5 || l.Out != 5 || l.Cause != "" {
		t.Errorf("without TLS: %+v", l)
	}

	raw = harness.DialRaw(t, s.Addr())
	io.WriteString(raw, "no TLS at all\n")
	io.Copy(io.Discard, raw)
	if l := awaitLog(t, path, 4)[3]; l.Cause != "handshake_failed" || l.TLS != "" || l.Backend != "" {
		t.Errorf("one without a handshake: %+v", l)
	}
}

// TestAccessLogOfWhatFailed: a request that no backend answered is logged with the client's status.
func TestAccessLogOfWhatFailed(t *testing.T) {
	option, path := harness.AccessLog(t)
	s, client := harness.StartHTTP(t, option, harness.HTTPTo(nettest.FreeAddr(t)))
	wantStatus(t, s, client, http.StatusServiceUnavailable)
	if l := awaitLog(t, path, 1)[0]; l.Status != 503 || l.Reason != "no backend" || l.Method != "GET" || l.Target != "/" ||
		l.Out == 0 {
		t.Errorf("no backend: %+v", l)
	}
	conn := harness.DialRaw(t, s.Addr())
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost : a\r\n\r\n")
	io.Copy(io.Discard, conn)
	if l := awaitLog(t, path, 2)[1]; l.Status != 400 || l.Method != "GET" || l.Target != "/" || l.Reason != "malformed field name" {
		t.Errorf("no request: %+v", l)
	}
}

// TestAccessLogSaysWhereASessionCameFrom: pushed by another node, or pulled.
func TestAccessLogSaysWhereASessionCameFrom(t *testing.T) {
	for mode, want := range map[string]string{"push": "pushed", "pull": "pulled"} {
		t.Run(mode, func(t *testing.T) {
			f := harness.NewFleet(t, 2, mode, harness.PatientLookup)
			page := harness.ServeName(t)
			option, path := harness.AccessLog(t)
			f.RunHTTPS(0, page)
			f.RunHTTPS(1, page, option)
			f.AwaitIntroduced()
			config := harness.ClientConfig(f.PKI)
			for i := range f.Nodes {
				client := harness.HTTPClient(t, config,
					func(tr *http.Transport) { tr.DisableKeepAlives = true })
				harness.WantPage(t, client, "https://"+f.TLS(i)+"/", page)
				f.AwaitPushed()
			}
			if l := awaitLog(t, path, 1)[0]; l.Resumed != want || l.Outcome != "resumed_"+want {
				t.Errorf("got %+v, want %s", l, want)
			}
		})
	}
}

// TestAccessLogNamesTheClient: not the proxy in front, unless that names none.
func TestAccessLogNamesTheClient(t *testing.T) {
	option, path := harness.AccessLog(t)
	front := startProxyFront(t, option)
	n := 0
	next := func() harness.LogLine {
		t.Helper()
		n++
		return awaitLog(t, path, n)[n-1]
	}
	for _, router := range front.routers {
		conn := harness.DialFrom(t, trustedIP, router.addr)
		if err := router.use(&harness.PrefacedConn{Conn: conn, Preface: []byte(headerV2)}); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if l := next(); l.Client != someClient || l.Router != router.name {
			t.Errorf("%s: got %+v, want %v", router.name, l, someClient)
		}
		if strings.HasPrefix(router.name, "http") {
			continue // without a request there is no line
		}
		conn = harness.DialFrom(t, trustedIP, router.addr)
		io.WriteString(conn, "garbage")
		io.Copy(io.Discard, conn)
		if l := next(); l.Client != conn.LocalAddr().String() || l.Cause != "proxy_header" {
			t.Errorf("%s: got %+v, want %v and proxy_header", router.name, l, conn.LocalAddr())
		}
	}
}

// TestAccessLogCombined: the fields that log analysers expect, with more behind.
func TestAccessLogCombined(t *testing.T) {
	option, path := harness.AccessLog(t)
	page := harness.ServeName(t)
	s, pki := harness.StartHTTPS(t, option, "--access-log-format=combined", harness.HTTPTo(page))
	client := harness.HTTPClient(t, harness.ClientConfig(pki),
		harness.Dialing(harness.From(harness.ClientIP)))
	if _, _, err := harness.Fetch(client, "GET", "https://"+s.Addr()+"/a?b", nil, "Referer", `a "b"`, "User-Agent", "test"); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^127\.0\.0\.77 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\?b HTTP/1\.1" 200 \d+ "a \\"b\\"" "test"` +
		` tls="TLSv1\.3" cipher="TLS_\w+" resumed="-" sni="localhost" backend="http://` + regexp.QuoteMeta(page) + `" cause="-" reason="-" handshake=[\d.]+ connect=[\d.]+ first_byte=([\d.]+|-) total=[\d.]+\n$`)
	var text []byte
	nettest.Eventually(t, harness.Patience, func() bool {
		text, _ = os.ReadFile(path)
		return bytes.HasSuffix(text, []byte("\n"))
	}, "a line")
	if !want.Match(text) {
		t.Errorf("got %q, want %v", text, want)
	}
}

// TestAccessLogRotation: after a rotation under load each request is in one of the files, once and
// whole.
func TestAccessLogRotation(t *testing.T) {
	const workers, rotations = 8, 5
	each := 400
	if harness.RaceEnabled {
		each = 100
	}
	option, path := harness.AccessLog(t)
	s, _ := harness.StartHTTP(t, option, harness.HTTPTo(harness.ServeName(t)))
	var done atomic.Int64
	var load sync.WaitGroup
	for worker := range workers {
		client := harness.HTTPClient(t, nil, nil)
		load.Go(func() {
			for i := range each {
				if resp, _, err := harness.Fetch(client, "GET", fmt.Sprintf("http://%s/%d/%d", s.Addr(), worker, i),
					nil); err != nil || resp.StatusCode != 200 {
					t.Errorf("worker %d, request %d: %v", worker, i, err)
				}
				done.Add(1)
			}
		})
	}
	files := []string{path}
	for i := range rotations {
		nettest.Eventually(t, harness.Patience,
			func() bool { return done.Load() >= int64(workers*each*(i+1)/(rotations+2)) }, "the load goes on")
		old := fmt.Sprintf("%s.%d", path, i)
		if err := os.Rename(path, old); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGUSR1)
		nettest.Eventually(t, harness.Patience,
			func() bool { _, err := os.Stat(path); return err == nil }, "a new file")
		files = append(files, old)
	}
	load.Wait()
	s.Stop()
	seen := make(map[string]int)
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			t.Errorf("file %d is empty", i)
		}
		for _, l := range harness.ParseLog(t, text) {
			seen[l.Target]++
		}
	}
	for worker := range workers {
		for i := range each {
			if target := fmt.Sprintf("/%d/%d", worker, i); seen[target] != 1 {
				t.Errorf("%s is there %d times", target, seen[target])
			}
		}
	}
}

// TestAccessLogSample: a few lines of successes, all of failures.
func TestAccessLogSample(t *testing.T) {
	option, path := harness.AccessLog(t)
	s, client := harness.StartHTTP(t, option, "--access-log-sample=100000000",
		harness.HTTPTo(harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/broken" {
				panic(http.ErrAbortHandler)
			}
		})))
	const broken = 3
	for range broken {
		for range 20 {
			wantStatus(t, s, client, http.StatusOK)
		}
		resp, _, err := harness.Fetch(client, "GET", "http://"+s.Addr()+"/broken", nil)
		if err != nil || resp.StatusCode != http.StatusBadGateway {
			t.Errorf("got %v, %v, want 502", resp, err)
		}
	}
	for _, l := range awaitLog(t, path, broken) {
		if l.Status != 502 || l.Target != "/broken" {
			t.Errorf("got %+v, want what was broken only", l)
		}
	}
}

// TestAccessLogWithoutReader: lines are dropped and counted then, and no client waits.
func TestAccessLogWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	s, client := harness.StartHTTP(t, "--access-log="+path, harness.HTTPTo(harness.ServeName(t)))
	asked := 0
	nettest.Eventually(t, harness.Patience, func() bool {
		for range 50 {
			wantStatus(t, s, client, http.StatusOK)
			asked++
		}
		return s.AccessStats().Dropped > 0
	}, "lines are dropped")
	wantStatus(t, s, client, http.StatusOK)
	if _, metrics := s.Get("/metrics"); !regexp.MustCompile(`(?m)^reprise_access_log_dropped_total [1-9]`).MatchString(metrics) {
		t.Error("the metrics do not tell of lines dropped")
	}

	// As soon as there is a reader, all kept lines come, and then every new line.
	var mu sync.Mutex
	var text []byte
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := fifo.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			text = append(text, buf[:n]...)
			mu.Unlock()
		}
	}()
	nettest.Eventually(t, harness.Patience, func() bool {
		stats := s.AccessStats()
		return stats.Written+stats.Dropped == uint64(asked+1)
	}, "the rest is written")
	if resp, _, err := harness.Fetch(client, "GET", "http://"+s.Addr()+"/last", nil); err != nil || resp.StatusCode != 200 {
		t.Fatal(err)
	}
	nettest.Eventually(t, harness.Patience, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Contains(text, []byte(`"/last"`)) && bytes.HasSuffix(text, []byte("\n"))
	}, "the last line")
	mu.Lock()
	defer mu.Unlock()
	if got, want := len(harness.ParseLog(t, text)), int(s.AccessStats().Written); got != want {
		t.Errorf("got %d lines, want the %d that were written", got, want)
	}
}
