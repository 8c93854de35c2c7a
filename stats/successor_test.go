package stats

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// TestServersSucceedEachOther: a client that connects while one server ends and the next begins is
// answered by the next.
func TestServersSucceedEachOther(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", t.TempDir() + "/admin"} {
		first, err := ListenAdmin(address, example(), AdminOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fd, err := first.Socket()
		if err != nil {
			t.Fatal(err)
		}
		begin := make(chan struct{})
		second, err := ListenAdmin(address, example(),
			AdminOptions{Start: Start{Inherited: os.NewFile(uintptr(fd), ""), Wait: begin}})
		if err != nil {
			t.Fatal(err)
		}
		defer second.Shutdown(context.Background())
		if got := second.Addr().String(); got != first.Addr().String() {
			t.Errorf("the second is at %s, the first at %s", got, first.Addr())
		}
		first.LeavePath()
		if err := first.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		answered := make(chan string)
		go func() { answered <- dialText(t, second.Addr()) }()
		select {
		case got := <-answered:
			t.Errorf("answered before it begins: %q", got)
		default:
		}
		close(begin)
		if got := <-answered; !strings.HasPrefix(got, "HTTP/1.0 200 OK") {
			t.Errorf("got %q", got)
		}
		if err := second.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(address); err == nil {
			t.Errorf("%s is left behind", address)
		}
	}
}

// dialText asks whether a server is healthy, and returns the whole answer.
func dialText(t *testing.T, addr net.Addr) string {
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	io.WriteString(c, "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
	b, _ := io.ReadAll(c)
	return string(b)
}
