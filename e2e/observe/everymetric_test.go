package observe

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

var update = flag.Bool("update", false, "write docs/operations/every-metric.md")

const everyMetric = "../../docs/operations/every-metric.md"

// TestEveryMetricHasALine: docs/operations/every-metric.md has exactly the metrics of a node with
// all its parts.
func TestEveryMetricHasALine(t *testing.T) {
	list := metricsOf(nodeWithAll(t).get("/metrics"))
	if *update {
		if err := os.WriteFile(everyMetric, metricsPage(list), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(everyMetric)
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(reprise_\\w+)` ").FindAllSubmatch(page, -1) {
		there = append(there, string(row[1]))
	}
	slices.Sort(there)
	if names := slices.Sorted(maps.Keys(list)); !slices.Equal(there, names) {
		t.Errorf("%s is stale: go test ./e2e/observe -run EveryMetric -update\nit has\n%s\nthere are\n%s",
			everyMetric, strings.Join(there, "\n"), strings.Join(names, "\n"))
	}
}

// A metric is one metric of a scrape.
type metric struct{ kind, help, labels string }

var (
	helpLine = regexp.MustCompile(`(?m)^# HELP (reprise_\w+) (.*)$`)
	label    = regexp.MustCompile(`(\w+)="`)
)

// metricsOf reads a scrape.
func metricsOf(text string) map[string]metric {
	list := make(map[string]metric)
	for _, m := range helpLine.FindAllStringSubmatch(text, -1) {
		list[m[1]] = metric{help: m[2]}
	}
	for name, m := range list {
		_, kind, _ := strings.Cut(text, "\n# TYPE "+name+" ")
		m.kind, _, _ = strings.Cut(kind, "\n")
		row := regexp.MustCompile(`(?m)^` + name + `(?:_count)?\{([^}]*)\}`).FindStringSubmatch(text)
		if row != nil {
			var names []string
			for _, l := range label.FindAllStringSubmatch(row[1], -1) {
				names = append(names, l[1])
			}
			m.labels = strings.Join(names, ", ")
		}
		list[name] = m
	}
	return list
}

// metricsPage writes the page, by subject.
func metricsPage(list map[string]metric) []byte {
	var page bytes.Buffer
	page.WriteString("# Every metric\n\n*To look things up: there is nothing to run.* This page is generated from what a node shows:\n" +
		"`go test ./e2e/observe -run EveryMetric -update` writes it anew. What to do when one grows is in\n" +
		"[statistics.md](statistics.md), by the same names; what is worth an alert in [monitoring.md](monitoring.md).\n\n" +
		"With several stores or repeaters there are `reprise_store2_`, `reprise_repeater2_` and so on.\n")
	subject := ""
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if s := subjectOf(name); s != subject {
			subject = s
			fmt.Fprintf(&page, "\n## %s\n\n| metric | type | labels | what it is |\n|---|---|---|---|\n", subject)
		}
		m := list[name]
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", name, m.kind, m.labels, strings.ReplaceAll(m.help, "|", `\|`))
	}
	return page.Bytes()
}

// subjectOf returns the part of a metric's name that names its subject.
func subjectOf(name string) string {
	words := strings.Split(strings.TrimPrefix(name, "reprise_"), "_")
	if words[0] == "engine" || words[0] == "backends" || words[0] == "access" || words[0] == "client" {
		return words[0] + " " + words[1]
	}
	return words[0]
}

// nodeWithAll runs a node with every part that has metrics, after every event that makes series.
func nodeWithAll(t *testing.T) *node {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	dead, own, peer := nettest.FreeAddr(t), nettest.FreeAddr(t), nettest.FreeAddr(t)
	addr, repeater := nettest.FreeAddr(t), nettest.FreeAddr(t)
	garbage := nettest.Serve(t, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 4096)); err == nil {
			io.WriteString(conn, "HTTP/1.1 OK\r\n\r\n")
		}
	}).Addr
	secret := harness.SecretFile(t)
	fleet := func(own, peer string) []string {
		return []string{
			"--https-session-context=all", "--cluster-secret-file=" + secret,
			"--cache-udp-server=" + own, "--cache-udp-node=" + peer,
		}
	}
	listener := "--https2=addr=%s,cert=" + cert.CertFile + ",key=" + cert.KeyFile + ",clientca=" + pki.CAFile
	start(t, append(fleet(peer, own), fmt.Sprintf(listener, "127.0.0.1:0"), "--http-to=http://"+garbage)...)
	n := start(t, append(fleet(own, peer),
		fmt.Sprintf(listener, addr), "--ssl-client-crl="+pki.CRLFile(),
		"--http-to=http://"+garbage, "--http-pool=h2c to=h2c://"+garbage, "--http-use-pool=h2c host=h2c.example",
		"--http-pool=tls to=https://"+garbage, "--http-use-pool=tls host=tls.example",
		"--http-timeout=1s", "--http-keepalive=1s", "--linger-timeout=100ms",
		"--http-subscription-server="+nettest.FreeAddr(t), "--session-store=memcached://"+dead,
		"--udprepeater="+repeater, "--udprepeater-secret-file="+secret,
		"--access-log="+filepath.Join(t.TempDir(), "access.log"), "--client-requests=1000",
		"--acme=www.example.test", "--acme-agree", "--acme-storage="+filepath.Join(t.TempDir(), "acme"),
		"--acme-directory=https://"+dead+"/directory",
	)...)
	n.await("reprise_replication_alive_peers", 1)
	for _, talk := range []struct{ protocol, text string }{
		{"http/1.1", "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"},
		{"http/1.1", "GET / HTTP/1.1\r\nHost: h2c.example\r\nConnection: close\r\n\r\n"},
		{"http/1.1", "GET / HTTP/1.1\r\nHost: tls.example\r\nConnection: close\r\n\r\n"},
		{"http/1.1", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
		{"h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"}, // DATA on stream 0
	} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{
			RootCAs: pki.CA.Pool(), ServerName: "localhost", NextProtos: []string{talk.protocol},
		})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, talk.text)
		_, _ = io.Copy(io.Discard, conn) // until it is closed
		conn.Close()
	}
	return n
}
