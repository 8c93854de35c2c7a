package control

import (
	"os"
	"regexp"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// reprise top shows the node, and all nodes, in a terminal, until a key ends it.
func TestTop(t *testing.T) {
	nettest.Need(t, "script")
	f := startFleet(t, []string{"edge-1", "edge-2"}, []string{serveText(t, "one")})
	f.visit()
	keys, press, err := os.Pipe() // a file, which the program gets as it is
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	defer press.Close()
	command := "stty cols 150 rows 45; exec " + harness.Program(t) + " top --config " + f.nodes[0].file
	p := nettest.Start(t, nettest.Command{
		Path: "script", Args: []string{"--quiet", "--return", "--command", command, "/dev/null"},
		Env: []string{"TERM=xterm-256color", "LANG=C.UTF-8"}, Stdin: keys, Timeout: harness.Patience,
	})
	// A terminal gets words with their positions. Three of each client's six visits were here, one
	// of them its first.
	for _, word := range []string{"edge-1", "ready", "66.7%", "33.3%", "Backends", "edge-2", "alive", "Loops"} {
		p.Match(regexp.QuoteMeta(word))
	}
	press.WriteString("f")
	p.Match("HANDSHAKES/S")
	p.Match("127[.]0[.]0[.]2:")
	press.WriteString("q")
	if status := p.Wait(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

func TestTopNeedsATerminal(t *testing.T) {
	n := startNode(t, []string{serveText(t, "one")}, "admin = $DIR/admin.sock")
	wantAll(t, n.do(2, "top", "what"), "takes no arguments")
	n.Kill()
	wantAll(t, n.do(1, "top"), "is it the admin address of a running node?")
}
