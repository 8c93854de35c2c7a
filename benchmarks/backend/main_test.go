package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestServe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	tests := []struct {
		name, method, path string
		body, want         int64
	}{
		{"small", "GET", "/", 0, 2},
		{"nothing", "GET", "/bytes/0", 0, 0},
		{"download", "GET", "/bytes/1000003", 0, 1_000_003},
		{"upload", "POST", "/", 1_000_003, 2},
		{"again on the same connection", "GET", "/", 0, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := io.LimitReader(zeros{}, tt.body)
			request, err := http.NewRequest(tt.method, fmt.Sprintf("http://%s%s", listener.Addr(), tt.path), body)
			if err != nil {
				t.Fatal(err)
			}
			request.ContentLength = tt.body
			answer, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			got, err := io.Copy(io.Discard, answer.Body)
			if err != nil || got != tt.want || answer.StatusCode != 200 {
				t.Errorf("got status %d, %d bytes, %v, want 200, %d bytes", answer.StatusCode, got, err, tt.want)
			}
		})
	}
}

func TestServeRefusesMalformedRequests(t *testing.T) {
	tests := []struct{ name, send string }{
		{"no method", "hello\r\n\r\n"},
		{"negative length", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"},
		{"length not a number", "GET /bytes/x HTTP/1.1\r\n\r\n"},
		{"endless line", "GET /" + strings.Repeat("a", 2*maxLine)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, server := net.Pipe()
			go serve(server)
			go io.WriteString(client, tt.send)
			if got, _ := io.ReadAll(client); len(got) != 0 {
				t.Errorf("got %q, want the connection closed", got)
			}
		})
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
