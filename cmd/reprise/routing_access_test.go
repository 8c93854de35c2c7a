package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
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

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A logLine is a line of the access log.
type logLine struct {
	Time             time.Time
	Client           string
	Listener, Router string

	TLS, Cipher, SNI, ALPN string
	Resumed, Outcome       string
	ClientCert             string `json:"client_cert"`

	Method, Target, Proto, Host string
	Status                      int
	Referer                     string
	UserAgent                   string `json:"user_agent"`

	Backend   string
	Retries   int
	KeptAlive bool `json:"kept_alive"`
	Cause     string
	Reason    string

	Request        int
	Stream         int
	In             int64   `json:"bytes_in"`
	Out            int64   `json:"bytes_out"`
	Handshake      float64 // seconds
	Connect, Total float64
	FirstByte      float64 `json:"first_byte"`
}

// accessLog returns the option for a log in a file, and its path.
func accessLog(t *testing.T) (option, path string) {
	path = filepath.Join(t.TempDir(), "access.log")
	return "--access-log=" + path, path
}

// parseLog reads lines, each of which must be whole.
func parseLog(t *testing.T, text []byte) (lines []logLine) {
	t.Helper()
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Fatalf("it ends in a torn line: %.200q", text[bytes.LastIndexByte(text, '\n')+1:])
	}
	for line := range bytes.Lines(text) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var l logLine
		if err := d.Decode(&l); err != nil {
			t.Fatalf("%v in %.200q", err, line)
		}
		lines = append(lines, l)
	}
	return lines
}

// awaitLog waits until n lines are in the file.
func awaitLog(t *testing.T, path string, n int) []logLine {
	t.Helper()
	var text []byte
	nettest.Eventually(t, patience, func() bool {
		text, _ = os.ReadFile(path)
		return bytes.Count(text, []byte("\n")) >= n
	}, "%d lines in the log", n)
	lines := parseLog(t, text)
	if len(lines) != n {
		t.Fatalf("got %d lines, want %d:\n%s", len(lines), n, text)
	}
	return lines
}

// TestAccessLogOfRequests: a line says who asked for what, how TLS went, who answered
// and how long it took.
func TestAccessLogOfRequests(t *testing.T) {
	option, path := accessLog(t)
	page := serveName(t)
	pki := testpki.New(t)
	s := start(t, option, oneLoop, httpTo(page), https(pki.Server(testpki.ECDSA, "localhost"), "clientca="+pki.CAFile), "--http=127.0.0.1:0")
	forEachVersion(t, func(t *testing.T, version uint16) {
		os.Truncate(path, 0)
		config, _ := walletConfig(pki, version)
		config.Certificates = []tls.Certificate{pki.Client("Alice").TLS}
		begun := time.Now().Add(-time.Second)
		var cipher uint16
		for range 2 {
			client := httpClient(t, config, nil)
			for range 2 {
				resp, _, err := fetch(client, "GET", "https://"+s.addr()+"/a?b", nil, "Referer", "there", "User-Agent", `a "test"`)
				if err != nil {
					t.Fatal(err)
				}
				cipher = resp.TLS.CipherSuite
			}
			client.CloseIdleConnections()
		}
		for i, l := range awaitLog(t, path, 4) {
			if l.Time.Before(begun) || l.Time.After(time.Now()) || !openSSLNames(cipher, l.Cipher) || !strings.HasPrefix(l.Client, "127.0.0.1:") ||
				l.Handshake <= 0 || l.Total <= 0 || l.FirstByte > l.Total || l.In < 50 || l.Out < 100 {
				t.Errorf("line %d: %+v", i, l)
			}
			if (l.Connect > 0) == l.KeptAlive {
				t.Errorf("line %d: connected in %v, kept alive %v", i, l.Connect, l.KeptAlive)
			}
			got := l
			got.Time, got.Client, got.Cipher, got.KeptAlive, got.In, got.Out = time.Time{}, "", "", false, 0, 0
			got.Handshake, got.Connect, got.FirstByte, got.Total = 0, 0, 0, 0
			want := logLine{
				Listener: s.addr(), Router: "https", TLS: openSSLVersion(version), SNI: "localhost", Outcome: "new_client", ClientCert: "Alice",
				Method: "GET", Target: "/a?b", Proto: "HTTP/1.1", Host: s.addr(), Status: 200, Referer: "there", UserAgent: `a "test"`,
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
	wantPage(t, httpClient(t, nil, nil), "http://"+s.addresses[1]+"/", page)
	if l := awaitLog(t, path, 1)[0]; l.Router != "http" || l.TLS+l.Cipher+l.SNI+l.Outcome != "" || l.Handshake != 0 || l.Status != 200 {
		t.Errorf("without TLS: %+v", l)
	}
}

// TestAccessLogOfConnections: who relays only counts bytes, and says how it ended.
func TestAccessLogOfConnections(t *testing.T) {
	option, path := accessLog(t)
	echo := nettest.Serve(t, nettest.Echo).Addr
	pki := testpki.New(t)
	s := start(t, option, listen(pki.Server(testpki.ECDSA, "localhost"), "alpn=smtp"), to(echo), rawListen, rawTo(echo))
	config := with(clientConfig(pki), func(c *tls.Config) { c.NextProtos = []string{"smtp"} })

	visit(t, s.addr(), config)
	l := awaitLog(t, path, 1)[0]
	if l.Router != "sslrouter" || l.Listener != s.addr() || l.TLS != "TLSv1.3" || l.ALPN != "smtp" || l.SNI != "localhost" || l.Outcome != "new_client" || l.Backend != echo ||
		l.In != 5 || l.Out != 5 || l.Method != "" || l.Status != 0 || l.Request != 0 || l.Cause != "" || l.Connect <= 0 || l.Total < l.Handshake {
		t.Errorf("got %+v", l)
	}

	conn := connect(t, s.addr(), config)
	if err := ping(conn); err != nil {
		t.Fatal(err)
	}
	tcp(conn).Close()
	if l := awaitLog(t, path, 2)[1]; l.Cause != "truncated" || l.Resumed != "local" || l.In != 5 {
		t.Errorf("one that was cut: %+v", l)
	}

	raw := dialRaw(t, s.addresses[1])
	if err := ping(raw); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	if l := awaitLog(t, path, 3)[2]; l.Router != "rawrouter" || l.Listener != s.addresses[1] || l.TLS != "" || l.In != 5 || l.Out != 5 || l.Cause != "" {
		t.Errorf("without TLS: %+v", l)
	}

	raw = dialRaw(t, s.addr())
	io.WriteString(raw, "no TLS at all\n")
	io.Copy(io.Discard, raw)
	if l := awaitLog(t, path, 4)[3]; l.Cause != "handshake_failed" || l.TLS != "" || l.Backend != "" {
		t.Errorf("one without a handshake: %+v", l)
	}
}

// TestAccessLogOfWhatFailed: a request that no backend answered is logged with what
// the client got.
func TestAccessLogOfWhatFailed(t *testing.T) {
	option, path := accessLog(t)
	s, client := startHTTP(t, option, httpTo(nettest.FreeAddr(t)))
	wantStatus(t, s, client, http.StatusServiceUnavailable)
	if l := awaitLog(t, path, 1)[0]; l.Status != 503 || l.Reason != "no backend" || l.Method != "GET" || l.Target != "/" || l.Out == 0 {
		t.Errorf("no backend: %+v", l)
	}
	conn := dialRaw(t, s.addr())
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost : a\r\n\r\n")
	io.Copy(io.Discard, conn)
	if l := awaitLog(t, path, 2)[1]; l.Status != 400 || l.Method != "GET" || l.Target != "/" || l.Reason != "malformed field name" {
		t.Errorf("no request: %+v", l)
	}
}

// TestAccessLogSaysWhereASessionCameFrom: told by another node, or asked for.
func TestAccessLogSaysWhereASessionCameFrom(t *testing.T) {
	for mode, want := range map[string]string{"push": "pushed", "pull": "pulled"} {
		t.Run(mode, func(t *testing.T) {
			f := newFleet(t, 2, mode, patientLookup)
			page := serveName(t)
			option, path := accessLog(t)
			f.runHTTPS(0, page)
			f.runHTTPS(1, page, option)
			f.awaitIntroduced()
			config := clientConfig(f.pki)
			for i := range f.nodes {
				client := httpClient(t, config, func(tr *http.Transport) { tr.DisableKeepAlives = true })
				wantPage(t, client, "https://"+f.tls(i)+"/", page)
				f.awaitPushed()
			}
			if l := awaitLog(t, path, 1)[0]; l.Resumed != want || l.Outcome != "resumed_"+want {
				t.Errorf("got %+v, want %s", l, want)
			}
		})
	}
}

// TestAccessLogNamesTheClient: not the proxy in front, unless that fails to say.
func TestAccessLogNamesTheClient(t *testing.T) {
	option, path := accessLog(t)
	front := startProxyFront(t, option)
	n := 0
	next := func() logLine {
		t.Helper()
		n++
		return awaitLog(t, path, n)[n-1]
	}
	for _, router := range front.routers {
		conn := dialFrom(t, trustedIP, router.addr)
		if err := router.use(&prefacedConn{Conn: conn, preface: []byte(headerV2)}); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if l := next(); l.Client != someClient.Source.String() || l.Router != router.name {
			t.Errorf("%s: got %+v, want %v", router.name, l, someClient.Source)
		}
		if strings.HasPrefix(router.name, "http") {
			continue // without a request there is no line
		}
		conn = dialFrom(t, trustedIP, router.addr)
		io.WriteString(conn, "garbage")
		io.Copy(io.Discard, conn)
		if l := next(); l.Client != conn.LocalAddr().String() || l.Cause != "proxy_header" {
			t.Errorf("%s: got %+v, want %v and proxy_header", router.name, l, conn.LocalAddr())
		}
	}
}

// TestAccessLogCombined: what log analysers expect, and more behind it.
func TestAccessLogCombined(t *testing.T) {
	option, path := accessLog(t)
	page := serveName(t)
	s, pki := startHTTPS(t, option, "--access-log-format=combined", httpTo(page))
	client := httpClient(t, clientConfig(pki), dialing(from(clientIP)))
	if _, _, err := fetch(client, "GET", "https://"+s.addr()+"/a?b", nil, "Referer", `a "b"`, "User-Agent", "test"); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^127\.0\.0\.77 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\?b HTTP/1\.1" 200 \d+ "a \\"b\\"" "test"` +
		` tls="TLSv1\.3" cipher="TLS_\w+" resumed="-" sni="localhost" backend="http://` + regexp.QuoteMeta(page) + `" cause="-" reason="-" handshake=[\d.]+ connect=[\d.]+ first_byte=([\d.]+|-) total=[\d.]+\n$`)
	var text []byte
	nettest.Eventually(t, patience, func() bool {
		text, _ = os.ReadFile(path)
		return bytes.HasSuffix(text, []byte("\n"))
	}, "a line")
	if !want.Match(text) {
		t.Errorf("got %q, want %v", text, want)
	}
}

// TestAccessLogRotation: whoever rotates the log under load finds each request in
// one of the files, once and whole.
func TestAccessLogRotation(t *testing.T) {
	const workers, rotations = 8, 5
	each := 400
	if raceEnabled {
		each = 100
	}
	option, path := accessLog(t)
	s, _ := startHTTP(t, option, "--access-log-queue=100000", httpTo(serveName(t)))
	var done atomic.Int64
	var load sync.WaitGroup
	for worker := range workers {
		client := httpClient(t, nil, nil)
		load.Go(func() {
			for i := range each {
				if resp, _, err := fetch(client, "GET", fmt.Sprintf("http://%s/%d/%d", s.addr(), worker, i), nil); err != nil || resp.StatusCode != 200 {
					t.Errorf("worker %d, request %d: %v", worker, i, err)
				}
				done.Add(1)
			}
		})
	}
	files := []string{path}
	for i := range rotations {
		nettest.Eventually(t, patience, func() bool { return done.Load() >= int64(workers*each*(i+1)/(rotations+2)) }, "the load goes on")
		old := fmt.Sprintf("%s.%d", path, i)
		if err := os.Rename(path, old); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGUSR1)
		nettest.Eventually(t, patience, func() bool { _, err := os.Stat(path); return err == nil }, "a new file")
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
		for _, l := range parseLog(t, text) {
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

// TestAccessLogSample: of what went well a few lines, of what did not all.
func TestAccessLogSample(t *testing.T) {
	option, path := accessLog(t)
	s, client := startHTTP(t, option, "--access-log-sample=100000000", httpTo(serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
	})))
	const broken = 3
	for range broken {
		for range 20 {
			wantStatus(t, s, client, http.StatusOK)
		}
		resp, _, err := fetch(client, "GET", "http://"+s.addr()+"/broken", nil)
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

// accessStats is what the statistics tell of the log.
func (s *server) accessStats() (stats struct{ Written, Dropped uint64 }) {
	s.t.Helper()
	var d struct {
		AccessLog *struct{ Written, Dropped uint64 } `json:"access_log"`
	}
	d.AccessLog = &stats
	s.decode(&d)
	return stats
}

// TestAccessLogNobodyReads: lines are dropped and counted then, and no client waits.
func TestAccessLogNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	s, client := startHTTP(t, "--access-log="+path, "--access-log-queue=16", httpTo(serveName(t)))
	asked := 0
	nettest.Eventually(t, patience, func() bool {
		for range 50 {
			wantStatus(t, s, client, http.StatusOK)
			asked++
		}
		return s.accessStats().Dropped > 0
	}, "lines are dropped")
	wantStatus(t, s, client, http.StatusOK)
	if _, metrics := s.get("/metrics"); !regexp.MustCompile(`(?m)^reprise_access_log_dropped_total [1-9]`).MatchString(metrics) {
		t.Error("the metrics do not tell of lines dropped")
	}

	// As soon as somebody reads, all that was kept comes, and then every new line.
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
	nettest.Eventually(t, patience, func() bool {
		stats := s.accessStats()
		return stats.Written+stats.Dropped == uint64(asked+1)
	}, "the rest is written")
	if resp, _, err := fetch(client, "GET", "http://"+s.addr()+"/last", nil); err != nil || resp.StatusCode != 200 {
		t.Fatal(err)
	}
	nettest.Eventually(t, patience, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Contains(text, []byte(`"/last"`)) && bytes.HasSuffix(text, []byte("\n"))
	}, "the last line")
	mu.Lock()
	defer mu.Unlock()
	if got, want := len(parseLog(t, text)), int(s.accessStats().Written); got != want {
		t.Errorf("got %d lines, want the %d that were written", got, want)
	}
}
