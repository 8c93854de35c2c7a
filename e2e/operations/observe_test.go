package operations

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestMetrics: Prometheus can read the metrics, and the counters move.
func TestMetrics(t *testing.T) {
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--cache2=name=ssl,items=100")
	cfg := harness.ClientConfig(pki)
	harness.Visit(t, s.Addr(), cfg)
	harness.Visit(t, s.Addr(), cfg)
	s.AwaitIdle()
	status, body := s.Get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d, want 200", status)
	}
	got := parseMetrics(t, body)
	for series, want := range map[string]float64{
		`reprise_engine_flows_accepted_total`:                                                                                     2,
		`reprise_engine_flows_open`:                                                                                               0,
		`reprise_engine_flows_closed_total{cause="done"}`:                                                                         2,
		`reprise_engine_tls_handshakes_total{kind="tls13_full"}`:                                                                  1,
		`reprise_engine_tls_handshakes_total{kind="tls13_resumed"}`:                                                               1,
		`reprise_engine_tls_outcomes_total{outcome="resumed_local"}`:                                                              1,
		`reprise_engine_tls_handshake_duration_seconds_count{kind="tls13_full"}`:                                                  1,
		`reprise_engine_tls_handshake_duration_seconds_count{kind="tls13_resumed"}`:                                               1,
		`reprise_caches_hits_total{cache="ssl"}`:                                                                                  1,
		`reprise_caches_max_items{cache="ssl"}`:                                                                                   100,
		`reprise_engine_tls_failures_total{reason="not_tls"}`:                                                                     0,
		`reprise_log_dropped_total`:                                                                                               0,
		`promhttp_metric_handler_errors_total{cause="gathering"}`:                                                                 0,
		`reprise_backends_nodes_hits_total{name="` + s.Document().Backends.Nodes[0].Name + `",pool="default",router="sslrouter"}`: 2,
	} {
		if v, ok := got[series]; !ok || v != want {
			t.Errorf("%s: got %v (there: %v), want %v", series, v, ok, want)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

// parseMetrics reads the text format of Prometheus.
func parseMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	label := `[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"`
	sample := regexp.MustCompile(`^([a-zA-Z_:][\w:]*(?:\{` + label + `(?:,` + label + `)*\})?) (\S+)$`)
	series := make(map[string]float64)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "# HELP ") || strings.HasPrefix(line, "# TYPE ") {
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not a sample: %q", line)
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, twice := series[m[1]]; twice {
			t.Fatalf("%q stands twice", m[1])
		}
		series[m[1]] = v
	}
	return series
}

// TestStats: the same document from both servers, with uWSGI's names in it.
func TestStats(t *testing.T) {
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--cache2=name=ssl,items=100,keysize=128,blocksize=4096")
	cfg := harness.ClientConfig(pki)
	harness.Visit(t, s.Addr(), cfg)
	harness.Visit(t, s.Addr(), cfg)
	s.AwaitIdle()
	conn, err := nettest.Dial(s.Stats)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	direct, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, byHTTP := s.Get("/stats")
	for where, text := range map[string]string{"stats": string(direct), "admin": byHTTP} {
		var doc struct {
			Pid    int
			Cache  map[string]int
			Caches []map[string]any
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatalf("%s: %v\n%s", where, err, text)
		}
		if doc.Pid != s.Pid() {
			t.Errorf("%s: pid %d, want %d", where, doc.Pid, s.Pid())
		}
		// The first made two sessions, and the second, when it resumed in TLS 1.3, one.
		for name, want := range map[string]int{"max_items": 100, "blocksize": 4096, "items": 3, "hits": 1, "miss": 0, "full": 0} {
			if got, ok := doc.Cache[name]; !ok || got != want {
				t.Errorf("%s: cache %s is %d, want %d", where, name, got, want)
			}
		}
		if len(doc.Caches) != 1 || doc.Caches[0]["name"] != "ssl" || doc.Caches[0]["keysize"] != 128.0 {
			t.Errorf("%s: caches are %v", where, doc.Caches)
		}
	}
}

// TestProfilesOnlyOnDemand: profiles show memory, so they need an option.
func TestProfilesOnlyOnDemand(t *testing.T) {
	s, _ := harness.EchoServer(t, testpki.ECDSA)
	if status, _ := s.Get("/debug/pprof/goroutine?debug=1"); status != http.StatusOK {
		t.Errorf("asked for: status %d, want 200", status)
	}
	s, _ = harness.EchoServer(t, testpki.ECDSA, "--pprof=false")
	if status, _ := s.Get("/debug/pprof/goroutine?debug=1"); status != http.StatusNotFound {
		t.Errorf("not asked for: status %d, want 404", status)
	}
}
