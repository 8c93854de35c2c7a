package nettest_test

import (
	"fmt"
	"io"

	"reprise/internal/nettest"
)

// Example sends a pattern through a backend, which would be behind the program
// under test. In a test, try is not needed: pass the *testing.T.
func Example() {
	try(func(t nettest.T) {
		nettest.LeakCheck(t)
		backend := nettest.Serve(t, nettest.Source(1, 100<<10))
		conn, err := nettest.Dial(backend.Addr)
		if err != nil {
			t.Fatalf("%v", err)
		}
		defer conn.Close()
		checker := nettest.NewChecker(1)
		_, err = io.Copy(checker, conn)
		fmt.Println(checker.Len(), "bytes arrived, error:", err)
	})
	// Output: 102400 bytes arrived, error: <nil>
}
