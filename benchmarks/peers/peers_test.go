package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

func TestTemplatesAreComplete(t *testing.T) {
	for _, p := range append(All(), BackendH2()) {
		t.Run(p.Name, func(t *testing.T) {
			text, err := render(p.file, testSettings(t))
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(text, "\n")
			if !strings.Contains(first, " run: ") {
				t.Errorf("got %q first, want the command", first)
			}
			if p.OpenSSL && !strings.Contains(text, "Fair: ") {
				t.Errorf("%s does not say why it is fair", p.file)
			}
			if !strings.Contains(text, "127.0.0.1") || strings.Contains(text, "<no value>") {
				t.Errorf("not filled in:\n%s", text)
			}
		})
	}
}

// TestServersAcceptTheirConfigurations asks the servers that can check a file.
func TestServersAcceptTheirConfigurations(t *testing.T) {
	checks := map[string][]string{"hitch": {"--test"}, "haproxy": {"-c"}, "haproxy-http": {"-c"}, "nginx": {"-t"}, "nginx-http": {"-t"}, "h2o": {"-t"}}
	for _, p := range All() {
		check := checks[p.Name]
		if check == nil {
			continue
		}
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s-%d", p.Name, workers), func(t *testing.T) {
				s := testSettings(t)
				s.Workers = workers
				nettest.Need(t, strings.TrimSuffix(p.Name, "-http"))
				c, err := p.Prepare(s)
				if err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(c.Args[0], append(c.Args[1:], check...)...)
				cmd.Env = append(os.Environ(), c.Env...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %v\n%s", c.Args, err, out)
				}
			})
		}
	}
}

func testSettings(t *testing.T) Settings {
	t.Helper()
	dir := t.TempDir()
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = cert.Write(dir, "server"); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "ticket.key")
	if err := os.WriteFile(key, make([]byte, 80), 0o600); err != nil {
		t.Fatal(err)
	}
	return Settings{
		Dir: dir, Addr: "127.0.0.1:18443", Backend: "127.0.0.1:18080", Cert: cert.CertFile, Key: cert.KeyFile, PEM: cert.PEMFile,
		ALPN: "h2", Group: "X25519", Workers: 1, Reprise: "reprise", Plain: "plain", TicketKey: key,
	}
}
