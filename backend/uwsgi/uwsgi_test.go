package uwsgi_test

import (
	"bufio"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/backend/http1"
	"reprise/backend/uwsgi"
	"reprise/internal/nettest"
)

// echo answers with its environment and the request's body, as Latin-1 like
// WSGI's own strings.
const echo = `
import json
def application(env, start_response):
    answer = {k: v for k, v in env.items() if isinstance(v, str)}
    answer["body"] = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0)).decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
`

// startUWSGI runs the echo application until the test ends and returns its
// address.
func startUWSGI(t *testing.T) string {
	t.Helper()
	nettest.Need(t, "uwsgi")
	file := filepath.Join(t.TempDir(), "echo.py")
	if err := os.WriteFile(file, []byte(echo), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := nettest.FreeAddr(t)
	nettest.Start(t, nettest.Command{
		Path:       "uwsgi",
		Args:       []string{"--plugin", "python3", "--uwsgi-socket", addr, "--wsgi-file", file, "--buffer-size", "65535", "--need-app"},
		StopSignal: syscall.SIGINT,
	}, nettest.Accepts(addr))
	return addr
}

// ask sends a packet and a body and returns the environment the application got.
func ask(t *testing.T, addr string, packet []byte, body string) map[string]string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(append(packet, body...)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %q, %v", response.StatusCode, answer, err)
	}
	env := make(map[string]string)
	if err := json.Unmarshal(answer, &env); err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	for k, v := range env { // from Latin-1
		var b strings.Builder
		for _, r := range v {
			b.WriteByte(byte(r))
		}
		env[k] = b.String()
	}
	return env
}

// A real application receives what is sent, and nothing else with that prefix.
func TestRealUWSGI(t *testing.T) {
	addr := startUWSGI(t)
	cert := certify(t, pkix.RDNSequence{rdn("2.5.4.3=client1"), rdn("2.5.4.10=Acmé")}, 10)
	get := []string{"GET /caf%C3%A9/%ff?q=%20 HTTP/1.1", "Host: www.example.test"}
	tests := []struct {
		name   string
		lines  []string
		change func(*uwsgi.Vars)
		body   string
		scheme string
	}{
		{"plain", get, func(*uwsgi.Vars) {}, "", "http"},
		{"body", []string{"POST / HTTP/1.1", "Host: a", "Content-Type: text/plain", "Content-Length: 7"}, func(v *uwsgi.Vars) { v.Length = 7 }, "payload", "http"},
		{"HTTP/1.0 without Host", []string{"GET / HTTP/1.0"}, func(v *uwsgi.Vars) { v.ServerName = "edge" }, "", "http"},
		{"TLS", get, func(v *uwsgi.Vars) {
			v.TLS = &uwsgi.TLS{Protocol: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ServerName: "a", Resumed: true}
		}, "", "https"},
		{"rules", append(get, "X-Client: root"), func(v *uwsgi.Vars) {
			v.Rules, v.Facts = rules(t, http1.Rule{Name: "X-Client", Value: "<${SSL_CLIENT_S_DN}>"}), &http1.Facts{Subject: "CN=é\r\nX: y"}
		}, "", "http"},
		{"client certificate", get, func(v *uwsgi.Vars) { v.TLS = withClient(cert, true).TLS }, "", "https"},
		{"large", append(get, "X: "+strings.Repeat("x", 60000)), func(*uwsgi.Vars) {}, "", "http"},
		{"spoofed scheme", append(get, "X-Forwarded-Proto: http", "X-Forwarded-SSL: off"), func(v *uwsgi.Vars) { v.TLS = &uwsgi.TLS{} }, "", "https"},
		{"proxy's scheme", append(get, "X-Forwarded-Proto: https"), func(v *uwsgi.Vars) { v.Trusted = true }, "", "https"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := plain()
			tt.change(v)
			p, err := uwsgi.AppendRequest(nil, parse(t, tt.lines...), v)
			if err != nil {
				t.Fatal(err)
			}
			vars, err := decode(p)
			if err != nil {
				t.Fatal(err)
			}
			env := ask(t, addr, p, tt.body)
			for _, v := range vars {
				if got, found := env[v.key]; !found || got != v.value {
					t.Errorf("%s: got %q, %v, want %q", v.key, got, found, v.value)
				}
			}
			for key := range env {
				if _, sent := lookUp(t, vars, key); !sent &&
					(strings.HasPrefix(key, "HTTP") || strings.HasPrefix(key, "SSL_")) {
					t.Errorf("%s: got %q, want nothing", key, env[key])
				}
			}
			if env["wsgi.url_scheme"] != tt.scheme || env["body"] != tt.body {
				t.Errorf("got scheme %q, body %q, want %q, %q", env["wsgi.url_scheme"], env["body"], tt.scheme, tt.body)
			}
		})
	}
}
