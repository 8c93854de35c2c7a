package main

import (
	"io"
	"net"
	"testing"
)

func TestTableParses(t *testing.T) {
	scripts, err := parseTable(table)
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) < 50 {
		t.Errorf("scripts.txt: got %d scripts, want at least 50", len(scripts))
	}
	seen := map[string]bool{}
	for _, s := range scripts {
		if seen[s.title()] {
			t.Errorf("scripts.txt: %q is there twice", s.title())
		}
		seen[s.title()] = true
		if s.measured["own"].worse(s.measured["standard"]) && s.remark == "" {
			t.Errorf("scripts.txt: %q: our engine does worse than crypto/tls, and nothing says why", s.title())
		}
	}
}

func TestTableRefusesWhatItCannotRead(t *testing.T) {
	for _, line := range []string{"name rsa", "name rsa 1/2 2/3", "name rsa 1 2/3 3/3", "name rsa 1/2 2/3 x/3"} {
		if _, err := parseTable(line); err == nil {
			t.Errorf("parseTable(%q): got no error", line)
		}
	}
}

func TestScores(t *testing.T) {
	for _, tc := range []struct {
		name            string
		got, measured   score
		want            string
		worseThanBefore bool
	}{
		{"same", score{3, 5}, score{3, 5}, "3/5", false},
		{"one more passes", score{4, 5}, score{3, 5}, "4/5", false},
		{"one less passes", score{2, 5}, score{3, 5}, "2/5", true},
		{"the script broke", score{}, score{3, 5}, "-", true},
		{"never measured", score{2, 5}, score{}, "2/5", false},
	} {
		if got := tc.got.String(); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		if got := tc.got.worse(tc.measured); got != tc.worseThanBefore {
			t.Errorf("%s: worse is %v, want %v", tc.name, got, tc.worseThanBefore)
		}
	}
	if got, want := parseScore("sanity ...\nOK\n\nTOTAL: 11\nSKIP: 0\nPASS: 9\nFAIL: 2\n"), (score{9, 11}); got != want {
		t.Errorf("parseScore: got %v, want %v", got, want)
	}
}

func TestBackendAnswersOnceAtAnEmptyLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go serve(l)
	for _, parts := range [][]string{
		{"GET / HTTP/1.0\r\n\r\n"},
		{"GET / HTTP/1.0\n\n"},
		{"GET / HTTP/1.0\r\nX: ", "y\r", "\n\r", "\n"},
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(c)
		if err != nil || string(got) != page {
			t.Errorf("%q: got %q, %v, want the page", parts, got, err)
		}
		c.Close()
	}
}
