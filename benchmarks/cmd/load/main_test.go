package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"reprise/benchmarks/load"
)

func hello(t *testing.T) (addr string) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request,
	) {
		io.WriteString(w, "hello")
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestText(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-addr", hello(t), "-mode", "resumed", "-tls", "1.2", "-groups", "p256", "-ops", "10", "-bytes", "5", "-pids", strconv.Itoa(os.Getpid())}
	if status := run(t.Context(), args, &stdout, &stderr); status != exitOK {
		t.Fatalf("got status %d: %s", status, stderr.String())
	}
	for _, want := range []string{"resumed    10 operations in ", " 50 bytes, 0 errors\n", "10 of 10 handshakes, 100.00 %", "10 TLS 1.2 TLS_", " of CPU, "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in\n%s", want, stdout.String())
		}
	}
}

func TestJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-addr", hello(t), "-mode", "openloop", "-conns", "2", "-rate", "100", "-duration", "300ms", "-storm", "1", "-json"}
	if status := run(t.Context(), args, &stdout, &stderr); status != exitOK {
		t.Fatalf("got status %d: %s", status, stderr.String())
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Mode != load.OpenLoop || r.Result.Ops != 30 || r.Result.Latency.Count() != 30 ||
		r.Storm == nil || r.Storm.Ops == 0 {
		t.Errorf("got %s, want 30 operations of mode openloop and some of a storm", stdout.String())
	}
}

func TestUsage(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"mode", []string{"-mode", "fast"}, "is none of full, resumed"},
		{"group", []string{"-groups", "p256,p1"}, "unknown"},
		{"cipher", []string{"-ciphers", "AES"}, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{"process", []string{"-pids", "0"}, "meter"},
		{"argument", []string{"127.0.0.1:443"}, "is not a flag"},
		{"no address", []string{"-ops", "1"}, "needs an address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			status := run(t.Context(), tt.args, io.Discard, &stderr)
			if status == exitOK || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("got status %d, %s, want ...%s...", status, stderr.String(), tt.want)
			}
		})
	}
}
