package observe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// monitoring is the directory of the rules and the dashboard.
const monitoring = "../../docs/monitoring"

// TestRules: promtool accepts the rules, and they pass their own tests.
func TestRules(t *testing.T) {
	nettest.Need(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "--lint-fatal", "reprise.rules.yml"}, {"test", "rules", "reprise.rules.test.yml"},
	} {
		if r := nettest.Run(t, nettest.Command{Path: "promtool", Args: args, Dir: monitoring}); r.ExitCode != 0 {
			t.Errorf("promtool %v: exit code %d\n%s%s", args, r.ExitCode, r.Stdout, r.Stderr)
		}
	}
}

// unseen are metrics that a node has only with acme, or with revocation lists.
var unseen = []string{"reprise_acme_missing", "reprise_client_crl_next_update_timestamp_seconds"}

// TestRulesAndDashboardAskForWhatThereIs: each metric that they name exists at a node of a fleet,
// and Prometheus can read each expression of the dashboard.
func TestRulesAndDashboardAskForWhatThereIs(t *testing.T) {
	nettest.Need(t, "promtool")
	f := healthyFleet(t, 2)
	f.visit(0)
	text := f.nodes[0].get("/metrics")
	known := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		known[m[1]] = true
		if m[2] == "histogram" {
			known[m[1]+"_bucket"] = true
		}
	}
	for _, name := range unseen {
		known[name] = true
	}
	for _, name := range []string{"reprise_engine_http_refused_total", "reprise_engine_http_bad_answers_total"} {
		known[name] = true // once there is one, for each reason
	}
	rules, err := os.ReadFile(filepath.Join(monitoring, "reprise.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	expressions := append(dashboardExpressions(t), string(rules))
	asked := regexp.MustCompile(`(?:^|[^\w:.])((?:reprise|process)_\w+)`)
	for _, expression := range expressions {
		for _, m := range asked.FindAllStringSubmatch(expression, -1) {
			if !known[m[1]] {
				t.Errorf("no node shows %s", m[1])
			}
		}
	}
	checkExpressions(t, expressions[:len(expressions)-1])
}

// dashboardExpressions are all expressions of the dashboard.
func dashboardExpressions(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(monitoring, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := make(map[int]bool)
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: a number or a place of another, or no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			list = append(list, target.Expr)
		}
	}
	for _, a := range dashboard.Annotations.List {
		list = append(list, a.Expr)
	}
	if len(list) < 20 {
		t.Fatalf("the dashboard asks for %d things only", len(list))
	}
	return list
}

// checkExpressions has promtool read them, as rules.
func checkExpressions(t *testing.T, list []string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, expression := range list {
		fmt.Fprintf(&b, "  - {record: 'panel:%d', expr: %q}\n", i, expression)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := nettest.Run(t, nettest.Command{Path: "promtool", Args: []string{"check", "rules", file}}); r.ExitCode != 0 {
		t.Errorf("promtool check rules: exit code %d\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
	}
}

// TestRulesFire: Prometheus scrapes a fleet of three, of which one has a certificate with 3 days
// left and one another cluster secret, and exactly the alerts that belong to that fire.
func TestRulesFire(t *testing.T) {
	nettest.Need(t, "prometheus")
	f := newFleet(t, 3)
	soon := f.pki.Issue(testpki.Template{Names: []string{"localhost"}, NotAfter: time.Now().Add(72 * time.Hour)})
	lasting := f.pki.Issue(testpki.Template{
		Names:    []string{"localhost"},
		NotAfter: time.Now().Add(90 * 24 * time.Hour),
	})
	secret := harness.SecretFile(t)
	f.run(0, secret, soon)
	f.run(1, secret, lasting)
	f.run(2, harness.SecretFile(t), lasting)
	prometheus := runPrometheus(t, f.admin(0), f.admin(1), f.admin(2))
	want := []string{
		"RepriseCertificateNearEnd " + f.admin(0) + " " + soon.CertFile,
		"RepriseNoPeers " + f.admin(2) + " ",
		"ReprisePeerMissing " + f.admin(0) + " ", "ReprisePeerMissing " + f.admin(1) + " ",
		"RepriseWrongSecret " + f.admin(0) + " " + f.udp(2), "RepriseWrongSecret " + f.admin(1) + " " + f.udp(2),
		"RepriseWrongSecret " + f.admin(2) + " " + f.udp(0), "RepriseWrongSecret " + f.admin(2) + " " + f.udp(1),
	}
	slices.Sort(want)
	var got []string
	defer func() {
		if t.Failed() {
			t.Logf("alerts at last:\n%s", strings.Join(got, "\n"))
		}
	}()
	nettest.Eventually(t, harness.Patience,
		func() bool { got = alerts(t, prometheus); return slices.Equal(got, want) },
		"alerts:\n%s", strings.Join(want, "\n"))
}

// runPrometheus has it scrape some nodes, often, and evaluate our rules, with all delays removed.
// It returns its address.
func runPrometheus(t *testing.T, nodes ...string) string {
	t.Helper()
	rules, err := os.ReadFile(filepath.Join(monitoring, "reprise.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dir, addr := t.TempDir(), nettest.FreeAddr(t)
	for name, text := range map[string]string{
		"rules.yml": string(regexp.MustCompile(`(?m)^ +for: .*\n`).ReplaceAll(rules, nil)),
		"prometheus.yml": "global: {scrape_interval: 500ms, evaluation_interval: 500ms}\nrule_files: [rules.yml]\n" +
			"scrape_configs: [{job_name: reprise, static_configs: [{targets: ['" + strings.Join(nodes, "','") + "']}]}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	nettest.Start(t, nettest.Command{
		Path: "prometheus", Timeout: harness.Patience, Dir: dir,
		Args: []string{"--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=" + addr},
	}, nettest.Accepts(addr))
	return addr
}

// alerts are those that fire now, sorted: name, node, and the file or peer concerned.
func alerts(t *testing.T, prometheus string) (list []string) {
	t.Helper()
	response, err := http.Get("http://" + prometheus + "/api/v1/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if response.StatusCode != http.StatusOK {
		return nil // it is not ready
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			list = append(list, a.Labels["alertname"]+" "+a.Labels["instance"]+" "+a.Labels["file"]+a.Labels["contact"])
		}
	}
	slices.Sort(list)
	return list
}
