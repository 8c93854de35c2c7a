package accesslog_test

import (
	"fmt"
	"net/netip"
	"time"

	"reprise/internal/accesslog"
)

func Example() {
	l, err := accesslog.New(accesslog.Options{Path: "-", Sample: 100, Queue: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := accesslog.Entry{
		Time:       time.Date(2026, 11, 22, 21, 48, 0, 0, time.UTC),
		Client:     netip.MustParseAddrPort("192.0.2.1:4711"),
		TLSVersion: "TLSv1.3",
		Resumed:    "pushed",
		Method:     []byte("GET"),
		Target:     []byte("/\n"),
		Status:     503,
		BytesOut:   120,
		Total:      1500 * time.Microsecond,
	}
	if e.Failed() || l.Sampled() {
		l.Write(&e)
	}
	l.Close()
	// Output:
	// {"time":"2026-11-22T21:48:00.000000Z","client":"192.0.2.1:4711","tls":"TLSv1.3","resumed":"pushed","method":"GET","target":"/\u000a","status":503,"bytes_in":0,"bytes_out":120,"total":0.001500}
}
