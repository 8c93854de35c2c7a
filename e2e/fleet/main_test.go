package fleet

import (
	"flag"
	"os"
	"testing"
)

// atATime is how many of the parallel tests run at a time. They wait more than they
// compute: for heartbeats, for the end of a session's life, for the ratchet. Those that
// measure are not parallel, and run before these go on.
const atATime = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atATime); err != nil {
		panic(err) // there is no such flag
	}
	os.Exit(m.Run())
}
