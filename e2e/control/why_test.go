package control

import (
	"crypto/tls"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A node explains the outcomes for sessions that a client offered to it.
func TestWhy(t *testing.T) {
	f := startFleet(t, []string{"edge-1", "edge-2"}, []string{serveText(t, "one")})
	why := func(i int, client string) []string {
		lines := strings.Split(strings.TrimSpace(f.nodes[i].do(0, "why", client)), "\n")
		return lines[1:]
	}
	wantAll(t, f.nodes[0].do(0, "why", "127.0.0.1"), "the node remembers no handshake of this client")

	c := f.nodes[0].config()
	f.nodes[0].get(c) // its first
	f.nodes[0].get(c) // resumes here
	f.nodes[1].get(c) // resumes there
	lines := why(0, "127.0.0.1")
	if len(lines) != 2 {
		t.Fatalf("got %q, want two handshakes", lines)
	}
	wantAll(t, lines[1], "localhost", "TLSv1.3", "full handshake: it offered no session")
	wantAll(t, lines[0], "localhost", "TLSv1.3", "resumed: the session was made at this node")
	wantAll(t, why(1, "127.0.0.1:4711")[0], "resumed: ", "edge-1 made")

	// A session that no node still has, and one that no node made.
	f.nodes[0].do(0, "forget", "--all")
	f.nodes[0].get(c)
	wantAll(t, why(0, "127.0.0.1")[0], "full handshake: the session it offered is of", "forgotten")

	// A failure is reported too.
	old := f.nodes[0].config()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if conn, err := tls.Dial("tcp", f.nodes[0].tls, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 was spoken")
	}
	nettest.Eventually(t, harness.Patience, func() bool {
		return strings.Contains(why(0, "127.0.0.1")[0], "no connection: the handshake failed: no_common_version")
	}, "a handshake that failed is not told of")

	wantAll(t, f.nodes[0].do(0, "why", "127.0.0.1", "--json"), `"outcome": "resumed_local"`, `"owner"`, `"words"`)
	wantAll(t, f.nodes[0].do(0, "why", "192.0.2.1"), "the node remembers no handshake")
	wantAll(t, f.nodes[0].do(2, "why", "localhost"), "write an IP address")
	wantAll(t, f.nodes[0].do(2, "why"), "the address of one client")
}

// A session whose maker has gone, and that no other node has, is reported as such.
func TestWhyTheOwnerIsGone(t *testing.T) {
	f := startFleet(t, []string{"edge-1", "edge-2"}, []string{serveText(t, "one")})
	c := f.nodes[1].config()
	f.nodes[1].get(c)
	f.nodes[1].Kill()
	// Sessions that it had sent are found all the same, so the memory is emptied: the command
	// reports that the node is silent.
	f.nodes[0].do(1, "forget", "--all")
	f.nodes[0].get(c)
	lines := f.nodes[0].do(0, "why", "127.0.0.1")
	wantAll(t, lines, "full handshake: the session it offered is of node edge-2")
}
