package peers_test

import (
	"fmt"
	"os"

	"reprise/benchmarks/peers"
)

func Example() {
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for _, p := range peers.All() {
		if p.Name != "reprise" {
			continue
		}
		command, err := p.Prepare(peers.Settings{
			Dir: dir, Addr: "127.0.0.1:8443", Backend: "127.0.0.1:9000", Cert: "cert.pem", Key: "key.pem",
			Group: "X25519", Workers: 1, Reprise: "true", // any program that exists
		})
		fmt.Println(len(command.Args), err)
	}
	// Output: 2 <nil>
}
