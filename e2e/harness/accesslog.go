package harness

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"
)

// A LogLine is a line of the access log.
type LogLine struct {
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

// AccessLog returns the option for a log in a file, and its path.
func AccessLog(t *testing.T) (option, path string) {
	path = filepath.Join(t.TempDir(), "access.log")
	return "--access-log=" + path, path
}

// ParseLog reads lines, each of which must be whole.
func ParseLog(t *testing.T, text []byte) (lines []LogLine) {
	t.Helper()
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Fatalf("it ends in a torn line: %.200q", text[bytes.LastIndexByte(text, '\n')+1:])
	}
	for line := range bytes.Lines(text) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var l LogLine
		if err := d.Decode(&l); err != nil {
			t.Fatalf("%v in %.200q", err, line)
		}
		lines = append(lines, l)
	}
	return lines
}

// AccessStats are the log's statistics.
func (s *Server) AccessStats() (stats struct{ Written, Dropped uint64 }) {
	s.T.Helper()
	var d struct {
		AccessLog *struct{ Written, Dropped uint64 } `json:"access_log"`
	}
	d.AccessLog = &stats
	s.Decode(&d)
	return stats
}
