package documented

import (
	"io"
	"net"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestDemo: the commands that the demo prints first must work.
func TestDemo(t *testing.T) {
	nettest.Need(t, "curl")
	claimAddresses(t) // its statistics are where those of the examples are
	p := nettest.Start(t, nettest.Command{Path: harness.Program(t), Args: []string{"demo"}})
	url := p.Match(`curl -k (https://\S+)`)[1]
	r := nettest.Run(t, nettest.Command{Path: "curl", Args: []string{"--silent", "--show-error", "--insecure", url}})
	if r.ExitCode != 0 || !strings.Contains(r.Stdout, "Hello from the backend") {
		t.Errorf("exit code %d, output %q\n%s", r.ExitCode, r.Stdout, r.Stderr)
	}
	nettest.Need(t, "openssl")
	save, resume := p.Match(`(?m)^  (.*openssl s_client .*-sess_out .*)$`)[1], p.Match(`(?m)^  (.*openssl s_client .*-sess_in .*)$`)[1]
	for i, command := range []string{save, resume, resume} {
		want := "Reused"
		if i == 0 {
			want = "New"
		}
		if r := nettest.Run(t, nettest.Command{
			Path: "sh",
			Args: []string{"-c", command},
		}); !strings.HasPrefix(r.Stdout, want+", TLSv1.3") {
			t.Errorf("%s\nprinted %q, want %s: %s", command, r.Stdout, want, r.Stderr)
		}
	}
	stats := p.Match(`telnet://(\S+)`)[1]
	conn, err := net.Dial("tcp", stats)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if doc, err := io.ReadAll(conn); err != nil || !strings.Contains(string(doc), `"outcomes"`) {
		t.Errorf("statistics: %q, %v", doc, err)
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
