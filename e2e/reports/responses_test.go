package reports

import (
	"net/http"
	"testing"
	"time"
)

// An application that sends no Date gets one (RFC 9110, Section 6.6.1).
func TestDateIsAdded(t *testing.T) {
	n := start(t, uwsgi(t, ok()))
	response, _ := n.ask(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ParseTime(response.Header.Get("Date")); err != nil {
		t.Errorf("Date: %q: %v", response.Header["Date"], err)
	}
}

// There is one Strict-Transport-Security (RFC 6797, Section 7.1), the operator's.
func TestOneStrictTransportSecurity(t *testing.T) {
	n := start(t, play(t, ok("Strict-Transport-Security: max-age=0")).addr, "--hsts=31536000")
	client := http.Client{Transport: &http.Transport{TLSClientConfig: n.clientConfig()}}
	defer client.CloseIdleConnections()
	response, err := client.Get("https://" + n.https + "/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	got := response.Header["Strict-Transport-Security"]
	if len(got) != 1 || got[0] == "max-age=0" {
		t.Errorf("got %q", got)
	}
}

// Blanks behind the size of a chunk are sent by old servers, and taken by nginx and HAProxy.
func TestChunkSizeWithBlanks(t *testing.T) {
	n := start(t, play(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n").addr)
	if response, body := n.ask(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); response.StatusCode != http.StatusOK || body != "ok" {
		t.Errorf("got %s %q", response.Status, body)
	}
}

// A backend that speaks another protocol and stays open is detected by its first bytes, not by a
// time-out.
func TestBackendThatSpeaksNoHTTP(t *testing.T) {
	n := start(t, play(t, "220 mail.example ESMTP\r\n").addr, "--http-timeout", "10m")
	begun := time.Now()
	response, _ := n.ask(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if response.StatusCode != http.StatusBadGateway {
		t.Errorf("got %s after %v", response.Status, time.Since(begun))
	}
}
