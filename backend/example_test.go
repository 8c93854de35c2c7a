package backend_test

import (
	"fmt"
	"net/netip"
	"time"

	"reprise/backend"
)

func Example() {
	p, err := backend.NewPool([]backend.Spec{
		{Network: "tcp", Address: "127.0.0.1:9000", Protocol: backend.HTTP, Weight: 2, MaxConns: 100},
		{Network: "tcp", Address: "127.0.0.1:9001", Protocol: backend.HTTP},
		{Name: "sorry", Network: "unix", Address: "/run/sorry.sock", Protocol: backend.UWSGI, Backup: true},
	}, backend.Options{Grace: 30 * time.Second, QueueLen: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	var c backend.Cursor // each loop has its own
	var tried *backend.Node
	client, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	for tries := range 3 {
		n, verdict := p.Pick(&c, client, tried, now)
		if verdict != backend.Picked {
			break // Full: wait, Down: tell the client
		}
		fmt.Println(n.Name())
		if tries == 2 {
			n.Connected()
			n.Release() // when the connection has ended
			break
		}
		n.Failed(now) // connection refused
		n.Release()
		tried = n
	}
	// Output:
	// 127.0.0.1:9000
	// 127.0.0.1:9001
	// sorry
}
