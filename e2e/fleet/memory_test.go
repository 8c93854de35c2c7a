package fleet

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
)

// memory yields the writable parts of a process's memory, or skips the test if this user may not
// read them.
func memory(n *harness.Server, visit func(part []byte)) {
	n.T.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", n.Pid()))
	if err != nil {
		n.T.Skipf("needs to read another process's memory, as root may: %v", err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", n.Pid()))
	if err != nil {
		n.T.Skipf("needs to read another process's memory, as root may: %v", err)
	}
	defer mem.Close()
	const step = 1 << 20
	buf := make([]byte, step)
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var begin, end int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &begin, &end, &mode); err != nil ||
			!strings.HasPrefix(mode, "rw") {
			continue
		}
		// Parts overlap, so that nothing hides at a seam.
		for at := begin; at < end; at += step - 64 {
			part := buf[:min(step, end-at)]
			if _, err := mem.ReadAt(part, at); err != nil && err != io.EOF {
				continue // gone meanwhile, or never there
			}
			visit(part)
		}
	}
}

// remembers reports whether any of the secrets is in the process's memory.
func remembers(n *harness.Server, secrets [][]byte) bool {
	n.T.Helper()
	found := false
	memory(n, func(part []byte) {
		for _, s := range secrets {
			found = found || bytes.Contains(part, s)
		}
	})
	return found
}

// TestDeadSessionsLeaveMemory: when a session's time is over, or it was forgotten,
// its secret is in no node's memory any more: a core dump taken later opens nothing
// that was recorded before (law 4 of docs/SECURITY.md).
func TestDeadSessionsLeaveMemory(t *testing.T) {
	t.Parallel()
	const lifetime = 3 * time.Second
	// Other connections overwrite remains of secrets on heaps and stacks.
	const others = 1000
	for _, test := range []struct {
		name   string
		forget bool
	}{{"expired", false}, {"forgotten", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			options := []string{"--cache-udp-heartbeat=100ms", "--cache-udp-dead-after=1s", patientLookup, "--cache-expire-freq=1s"}
			if !test.forget {
				options = append(options, "--ssl-sessions-timeout="+lifetime.String())
			}
			f := startFleet(t, 2, options...)
			var secrets [][]byte
			born := time.Now()
			for i := range 4 {
				h := f.goHolder(i%2, versions[i/2])
				secrets = append(secrets, h.secret(t))
				f.wantAll(1-i%2, []holder{h})
			}
			for i, n := range f.Nodes {
				if time.Since(born) < lifetime && !remembers(n, secrets) {
					t.Errorf("node %d does not remember the secrets while they are good: this test finds nothing", i)
				}
			}
			if test.forget {
				f.mustForget(0, "--all")
			} else {
				time.Sleep(time.Until(born.Add(2 * lifetime)))
			}
			for i := range others {
				f.goHolder(i%2, versions[i/2%2])
			}
			// The sweep runs every second, and heartbeats tell peers the time.
			time.Sleep(2 * time.Second)
			for i, n := range f.Nodes {
				for j, s := range secrets {
					if remembers(n, [][]byte{s}) {
						t.Errorf("node %d still has the secret of session %d (%s)", i, j, tls.VersionName(versions[j/2]))
					}
				}
			}
		})
	}
}
