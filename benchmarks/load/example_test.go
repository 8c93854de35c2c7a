package load_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"reprise/benchmarks/load"
)

// Ten connections that resume, from two clients.
func Example() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
	defer server.Close()
	result, err := load.Run(context.Background(), load.Options{
		Addrs: []string{server.Listener.Addr().String()},
		Mode:  load.Resumed, TLS: true, HTTP: true, Conns: 2, Ops: 10,
	})
	fmt.Println(err, result.Ops, result.Errors, result.Resumed, result.Latency.Quantile(0.99) > 0)
	// Output: <nil> 10 0 10 true
}
