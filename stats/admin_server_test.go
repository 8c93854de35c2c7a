package stats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// startAdmin serves r for as long as the test runs.
func startAdmin(t *testing.T, r *Registry, o AdminOptions) (url string) {
	t.Helper()
	s, err := ListenAdmin("127.0.0.1:0", r, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return "http://" + s.Addr().String()
}

// ask makes one request on a connection of its own.
func ask(t *testing.T, method, url string, header ...string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

func TestAdminStats(t *testing.T) {
	status, body := ask(t, "GET", startAdmin(t, example(), AdminOptions{})+"/stats")
	if status != 200 || body != string(example().document()) {
		t.Errorf("got %d %s", status, body)
	}
}

func TestAdminMetrics(t *testing.T) {
	_, body := ask(t, "GET", startAdmin(t, example(), AdminOptions{})+"/metrics")
	var got []string
	for line := range strings.Lines(body) {
		// A few of the histogram's buckets are enough.
		if strings.HasPrefix(line, "reprise_") && !strings.Contains(line, "e-") && !strings.Contains(line, `le="0.`) {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		`reprise_caches_evicted_total{cache="ssl"} 4`,
		`reprise_caches_full_total{cache="other"} 0`,
		`reprise_caches_full_total{cache="ssl"} 1`,
		`reprise_caches_hits_total{cache="other"} 0`,
		`reprise_caches_hits_total{cache="ssl"} 8`,
		`reprise_caches_items{cache="other"} 0`,
		`reprise_caches_items{cache="ssl"} 3`,
		`reprise_caches_max_items{cache="other"} 10`,
		`reprise_caches_max_items{cache="ssl"} 20000`,
		`reprise_caches_miss_total{cache="other"} 0`,
		`reprise_caches_miss_total{cache="ssl"} 2`,
		`reprise_flows_closed_total{cause="backend"} 3`,
		`reprise_flows_closed_total{cause="idle"} 2`,
		`reprise_flows_connect_seconds_bucket{le="1.048576"} 1`,
		`reprise_flows_connect_seconds_bucket{le="2.097152"} 1`,
		`reprise_flows_connect_seconds_bucket{le="4.194304"} 1`,
		`reprise_flows_connect_seconds_bucket{le="8.388608"} 1`,
		`reprise_flows_connect_seconds_bucket{le="16.777216"} 1`,
		`reprise_flows_connect_seconds_bucket{le="+Inf"} 2`,
		`reprise_flows_connect_seconds_sum 60.000003`,
		`reprise_flows_connect_seconds_count 2`,
		`reprise_flows_draining 1`,
		`reprise_flows_in_bytes_total 1.099511627776e+12`,
		`reprise_flows_open -1`,
		`reprise_flows_opened_total 10`,
		`reprise_loops_peers_sent_total{loop="0",peer="b"} 1`,
		`reprise_loops_peers_sent_total{loop="0",peer="c"} 2`,
		`reprise_loops_turns_total{loop="0"} 5`,
		`reprise_loops_turns_total{loop="1"} 6`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range []string{
		"# HELP reprise_flows_opened_total Client connections accepted.\n",
		"# TYPE reprise_flows_opened_total counter\n",
		"# TYPE reprise_flows_connect_seconds histogram\n",
		`reprise_flows_connect_seconds_bucket{le="2e-06"} 0` + "\n",
		`reprise_flows_connect_seconds_bucket{le="4e-06"} 1` + "\n",
		"go_goroutines ",
		"process_open_fds ",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("%q is missing", line)
		}
	}
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	_, body := ask(t, "GET", startAdmin(t, example(), AdminOptions{})+"/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "reprise_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// A part with wrong tags, which Check would report, does not hide the others.
func TestMetricsSurviveABadObject(t *testing.T) {
	r := example()
	r.Register("bad", func() any {
		return struct {
			A float64 `json:"a" metric:"gauge"`
		}{math.NaN()}
	})
	url := startAdmin(t, r, AdminOptions{}) + "/metrics"
	ask(t, "GET", url)
	status, body := ask(t, "GET", url)
	if status != 200 || !strings.Contains(body, "reprise_flows_opened_total 10\n") {
		t.Errorf("got %d, and no flows", status)
	}
	if strings.Contains(body, `promhttp_metric_handler_errors_total{cause="gathering"} 0`) {
		t.Error("the error was not counted")
	}
}

// A draining node is alive and wants no traffic.
func TestAdminHealth(t *testing.T) {
	var draining atomic.Bool
	url := startAdmin(t, example(), AdminOptions{Ready: func(*http.Request) error {
		if draining.Load() {
			return errors.New("draining")
		}
		return nil
	}})
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := ask(t, "GET", url+path); status != 200 || body != "ok\n" {
			t.Errorf("%s: got %d %q, want 200 ok", path, status, body)
		}
	}
	draining.Store(true)
	if status, body := ask(t, "GET", url+"/readyz"); status != 503 || body != "draining\n" {
		t.Errorf("readyz: got %d %q, want 503 draining", status, body)
	}
	if status, _ := ask(t, "GET", url+"/healthz"); status != 200 {
		t.Errorf("healthz while draining: got %d, want 200", status)
	}
	if status, _ := ask(t, "GET", startAdmin(t, example(), AdminOptions{})+"/readyz"); status != 200 {
		t.Errorf("without Ready: got %d, want 200", status)
	}
}

func TestAdminPprofOnlyWhenAskedFor(t *testing.T) {
	for want, o := range map[int]AdminOptions{404: {}, 200: {Pprof: true}} {
		url := startAdmin(t, example(), o)
		for _, page := range []string{"", "cmdline", "symbol", "heap", "goroutine"} {
			if status, _ := ask(t, "GET", url+"/debug/pprof/"+page); status != want {
				t.Errorf("%+v: %q: got %d, want %d", o, page, status, want)
			}
		}
	}
}

func TestAdminHandlers(t *testing.T) {
	var drained atomic.Int32
	url := startAdmin(t, example(), AdminOptions{Handlers: map[string]http.Handler{
		"POST /drain": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, drained.Add(1))
		}),
	}})
	tests := []struct {
		name, method string
		header       []string
		want         int
	}{
		{"as curl does it", "POST", nil, 200},
		{"wrong method", "GET", nil, 405},
		{"by a browser for another site", "POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"by an old browser for another site", "POST", []string{"Origin", "https://evil.example"}, 403},
	}
	for _, tt := range tests {
		if status, body := ask(t, tt.method, url+"/drain", tt.header...); status != tt.want {
			t.Errorf("%s: got %d %q, want %d", tt.name, status, body, tt.want)
		}
	}
	if got := drained.Load(); got != 1 {
		t.Errorf("the handler ran %d times, want once", got)
	}
}

func TestAdminOnUnixSocket(t *testing.T) {
	path := t.TempDir() + "/admin.sock"
	s, err := ListenAdmin(path, example(), AdminOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	c := dial(t, s.Addr())
	fmt.Fprint(c, "GET /stats HTTP/1.0\r\n\r\n")
	answer, err := readAndClose(c)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	if !json.Valid([]byte(body)) {
		t.Errorf("got %s", answer)
	}
}
