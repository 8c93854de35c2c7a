package observe

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// listener holds the HTTPS address of a single node, and the options for it.
func listener(t *testing.T, more string) (addr string, pki *testpki.PKI, args []string) {
	t.Helper()
	pki = testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	addr = nettest.FreeAddr(t)
	return addr, pki, []string{
		"--https2=addr=" + addr + ",cert=" + cert.CertFile + ",key=" + cert.KeyFile + strings.ReplaceAll(more, "CA", pki.CAFile),
		"--http-to=http://" + nettest.Serve(t, answerOne).Addr,
	}
}

// TestFailedHandshakeLeavesALine: with the client's address, the name it asked for, and the reason;
// a client that sends nothing leaves none.
func TestFailedHandshakeLeavesALine(t *testing.T) {
	nettest.Need(t, "openssl")
	stranger := testpki.New(t)
	badge := stranger.Client("stranger")
	tests := []struct {
		name, listener string
		client         []string // of openssl s_client
		reason, says   string
	}{
		{"TLS 1.1", "", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, "no_common_version", "no protocol version in common"},
		{"wrong ALPN", "", []string{"-alpn", "spdy/3"}, "no_common_alpn", "no application protocol in common"},
		{
			"a client that does not know our CA", "",
			[]string{"-CAfile", stranger.CAFile, "-verify_return_error"},
			"peer_alert", `the client sent the alert "unknown certificate authority"`,
		},
		{
			"a client of a CA that we do not know", ",clientca=!CA",
			[]string{"-cert", badge.CertFile, "-key", badge.KeyFile},
			"client_certificate", "client certificate: not signed by a configured CA",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, _, args := listener(t, tt.listener)
			n := start(t, args...)
			silent, err := nettest.Dial(addr)
			if err != nil {
				t.Fatal(err)
			}
			silent.Close()
			client := nettest.Run(t, nettest.Command{
				Path: "openssl", Args: append([]string{"s_client", "-connect", addr, "-servername", "localhost"}, tt.client...),
			})
			n.await(`reprise_engine_flows_closed_total{cause="handshake_failed"}`, 2)
			nettest.Eventually(t, harness.Patience, func() bool { return len(n.lines("handshake failed")) > 0 }, "a line")
			n.Stop()
			lines := n.lines("handshake failed")
			if len(lines) != 1 {
				t.Fatalf("got %d lines, want 1: %v\n%s", len(lines), lines, client.Stderr)
			}
			l := lines[0]
			if l["server_name"] != "localhost" || l["reason"] != tt.reason || l["error"] != tt.says || l["listener"] != addr {
				t.Errorf("got %v, want reason %q, error %q", l, tt.reason, tt.says)
			}
			if host, _, err := net.SplitHostPort(l["client"].(string)); err != nil || host != "127.0.0.1" {
				t.Errorf("client: got %v", l["client"])
			}
		})
	}
}

// TestFloodOfFailuresLeavesFewLines: never more than 10 in a second, and together with their counts
// every failure is reported.
func TestFloodOfFailuresLeavesFewLines(t *testing.T) {
	addr, _, args := listener(t, "")
	n := start(t, args...)
	const failures, clients = 10_000, 20
	began := time.Now()
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for range failures / clients {
				if err := failOnce(addr); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	took := time.Since(began)
	n.await(`reprise_engine_tls_failures_total{reason="not_tls"}`, failures)
	n.Stop()
	lines, told := n.lines("handshake failed"), 0.0
	seconds := make(map[string]int)
	for _, l := range append(lines, n.lines("more handshakes failed")...) {
		seconds[l["time"].(string)[:len("2006-01-02T15:04:05")]]++
		if count, ok := l["count"].(float64); ok {
			told += count
		}
	}
	told += float64(len(lines))
	if told != failures {
		t.Errorf("lines tell of %v failures, want %d", told, failures)
	}
	for second, count := range seconds {
		// The clock of the limit is the loop's, and the log may be a moment later.
		if count > 20 {
			t.Errorf("%d lines in the second %s", count, second)
		}
	}
	if most := 10 * (int(took.Seconds()) + 2); len(lines) > most {
		t.Errorf("%d lines in %v, want %d at most", len(lines), took, most)
	}
	t.Logf("%d failures in %v: %d lines", failures, took, len(lines))
}

// failOnce sends bytes that are not TLS, and waits for the alert and the end.
func failOnce(addr string) error {
	conn, err := nettest.Dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(harness.Patience))
	conn.(*net.TCPConn).SetLinger(0) // or ports would run out
	if _, err := conn.Write([]byte("\x00garbage")); err != nil {
		return err
	}
	_, err = io.ReadAll(conn)
	return err
}

// TestDebugFollowsAConnection: its lines say what happened to it, in order, by one name; and there
// is none at the default log-level.
func TestDebugFollowsAConnection(t *testing.T) {
	for _, level := range []string{"debug", "info"} {
		t.Run(level, func(t *testing.T) {
			addr, pki, args := listener(t, "")
			n := start(t, append(args, "--log-level", level)...)
			client := http.Client{Timeout: harness.Patience, Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: pki.CA.Pool(), ServerName: "localhost"}, DisableKeepAlives: true,
			}}
			response, err := client.Get("https://" + addr + "/some/where")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			n.await("reprise_engine_flows_open", 0)
			n.Stop()
			var got []string
			facts := make(map[string]any)
			for _, msg := range []string{
				"accepted", "hello", "handshake", "request", "backend chosen", "backend connected", "response", "ended",
			} {
				for _, l := range n.lines(msg) {
					if l["connection"] != "0.1" || !strings.HasPrefix(l["client"].(string), "127.0.0.1:") {
						t.Errorf("%s: got %v", msg, l)
					}
					got = append(got, msg)
					for k, v := range l {
						facts[msg+" "+k] = v
					}
				}
			}
			if level == "info" {
				if len(got) != 0 {
					t.Errorf("got lines %v, want none", got)
				}
				return
			}
			for what, want := range map[string]any{
				"hello server_name": "localhost", "handshake session": "new_client", "handshake alpn": "", "request target": "/some/where",
				"request pool": "default", "backend chosen try": 1.0, "response status": 200.0, "ended cause": "done",
			} {
				if facts[what] != want {
					t.Errorf("%s: got %v, want %v; lines %v", what, facts[what], want, got)
				}
			}
		})
	}
}
