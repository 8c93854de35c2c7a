package nettest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// Ports come from below the range that the kernel gives to outgoing
// connections (32768 and up unless configured otherwise), or one of the many
// connections of a test could take a port before the program it is meant for.
const (
	minPort = 10000
	maxPort = 32767
)

// FreePort returns a loopback port without a listener, TCP or UDP, that no test on this machine
// gets again before this one ends.
func FreePort(t T) int {
	t.Helper()
	for range 1000 {
		port := minPort + rand.IntN(maxPort-minPort+1)
		if release, ok := reserve(port); ok {
			t.Cleanup(release)
			return port
		}
	}
	t.Fatalf("no free port found in %d-%d", minPort, maxPort)
	return 0
}

// FreeAddr returns "127.0.0.1:port" with a port from [FreePort].
func FreeAddr(t T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

// Dial connects to addr: "host:port" or "/unix/path".
func Dial(addr string) (net.Conn, error) {
	return net.DialTimeout(network(addr), addr, 5*time.Second)
}

func network(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp"
}

// reserve claims port if it is free. The claim is an abstract unix socket (unix(7)): seen by all
// test processes in this network namespace, gone with the process that made it, and not a file.
func reserve(port int) (release func(), ok bool) {
	claim, err := net.ListenPacket("unixgram", fmt.Sprintf("@reprise-test-port-%d", port))
	if err != nil {
		return nil, false
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		claim.Close()
		return nil, false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		claim.Close()
		return nil, false
	}
	defer udp.Close()
	return func() { claim.Close() }, true
}
