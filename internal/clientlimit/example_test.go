package clientlimit_test

import (
	"fmt"
	"net/netip"
	"time"

	"reprise/internal/clientlimit"
)

func Example() {
	table, err := clientlimit.NewTable(1000)
	if err != nil {
		panic(err)
	}
	defer table.Close()
	policy := &clientlimit.Policy{Requests: clientlimit.Rate{PerSecond: 2, Burst: 1}}
	now := time.Now()
	key, verdict := policy.Connect(table, netip.MustParseAddr("192.0.2.1"), now)
	fmt.Println(verdict == clientlimit.Admitted)
	fmt.Println(policy.Request(table, key, now))
	fmt.Println(policy.Request(table, key, now))
	table.Disconnect(key)
	// Output:
	// true
	// 0s
	// 500ms
}
