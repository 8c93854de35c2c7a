package backend_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reprise/backend"
)

// A resolver answers from a table: addresses separated by spaces, or an error.
type resolver map[string]any

func (r resolver) lookup(ctx context.Context, host string) (list []netip.Addr, err error) {
	switch answer := r[host].(type) {
	case string:
		for _, ip := range strings.Fields(answer) {
			list = append(list, netip.MustParseAddr(ip))
		}
		return list, nil
	case error:
		return nil, answer
	default: // a server that does not answer
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func named(hosts ...string) (list []backend.Spec) {
	for _, h := range hosts {
		list = append(list, backend.Spec{Network: "tcp", Address: h + ":80"})
	}
	return list
}

// endpoints returns the next n endpoints of a node.
func endpoints(node *backend.Node, n int) string {
	var c backend.Cursor
	var list []string
	for range n {
		endpoint, _ := node.Endpoint(&c)
		list = append(list, endpoint.Addr().String())
	}
	return strings.Join(list, ", ")
}

func TestResolve(t *testing.T) {
	for _, test := range []struct{ name, answer, want string }{
		{"one", "192.0.2.1", "192.0.2.1, 192.0.2.1, 192.0.2.1"},
		{"in turn", "192.0.2.1 192.0.2.2", "192.0.2.1, 192.0.2.2, 192.0.2.1"},
		{"in no order of the answer's", "192.0.2.3 192.0.2.1", "192.0.2.1, 192.0.2.3, 192.0.2.1"},
		{"each once", "192.0.2.1 192.0.2.1 ::ffff:192.0.2.1 192.0.2.2", "192.0.2.1, 192.0.2.2, 192.0.2.1"},
		{"both kinds", "::1 127.0.0.1", "127.0.0.1, 127.0.0.1, 127.0.0.1"},
		{"IPv6 only", "2001:db8::1 2001:db8::2", "2001:db8::1, 2001:db8::2, 2001:db8::1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, named("a.example"), backend.Options{})
			if err := p.Resolve(t.Context(), resolver{"a.example": test.answer}.lookup); err != nil {
				t.Fatal(err)
			}
			if got := endpoints(p.Nodes()[0], 3); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if got := picks(p, start, 1); got != "a.example:80" {
				t.Errorf("got %v, want it picked", got)
			}
		})
	}
}

func TestResolveFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer any
		want   string
	}{
		{
			"no such name", &net.DNSError{Err: "no such host", Name: "b.example", Server: "192.0.2.53:53", IsNotFound: true},
			`backend b.example:80: cannot resolve "b.example": no such host: write a name that resolves or a numeric address`,
		},
		{
			"no address", "",
			`backend b.example:80: cannot resolve "b.example": no address: write a name that resolves or a numeric address`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, named("a.example", "b.example", "c.example"), backend.Options{})
			err := p.Resolve(t.Context(), resolver{"a.example": "192.0.2.1", "b.example": test.answer, "c.example": "192.0.2.3"}.lookup)
			if fmt.Sprint(err) != test.want {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if got, want := picks(p, start, 2), "a.example:80 c.example:80"; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// An answer may have any length; the part that is kept is bounded.
func TestResolveIsBounded(t *testing.T) {
	var answer []string
	for i := range 1000 {
		answer = append(answer, client(2*i).String())
	}
	p := newPool(t, named("a.example"), backend.Options{})
	if err := p.Resolve(t.Context(), resolver{"a.example": strings.Join(answer, " ")}.lookup); err != nil {
		t.Fatal(err)
	}
	list := strings.Split(endpoints(p.Nodes()[0], 65), ", ")
	if list[64] != list[0] || list[63] == list[0] {
		t.Errorf("got %v first, %v after 64; want the same", list[0], list[64])
	}
}

func TestNumericAddressesAreNotLookedUp(t *testing.T) {
	p := newPool(t, specs(1), backend.Options{})
	if err := p.Resolve(t.Context(), resolver{}.lookup); err != nil {
		t.Error(err)
	}
	p.StartResolving(time.Nanosecond, func(context.Context, string) ([]netip.Addr, error) {
		t.Error("looked up")
		return nil, nil
	})()
}

// Addresses follow the name; while it cannot be resolved, the last good ones stay.
// Each change is logged once.
func TestStartResolving(t *testing.T) {
	const every = time.Minute
	broken := errors.New("broken")
	const (
		changed = "backend has new addresses"
		failing = "cannot resolve a backend again: its last addresses stay"
	)
	script := []struct {
		answer any
		want   string
		logged string
	}{
		{"192.0.2.1", "192.0.2.1", ""},
		{broken, "192.0.2.1", failing},
		{broken, "192.0.2.1", ""},
		{"", "192.0.2.1", ""},
		{"192.0.2.1", "192.0.2.1", ""},
		{nil, "192.0.2.1", failing}, // gives up after a while
		{"192.0.2.2", "192.0.2.2", changed},
		{"192.0.2.2", "192.0.2.2", ""},
		{"192.0.2.9 192.0.2.2", "192.0.2.2", changed},
		{"192.0.2.2 192.0.2.9", "192.0.2.2", ""},
	}
	log := captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		r := resolver{"a.example": "192.0.2.1"}
		p := newPool(t, named("a.example"), backend.Options{})
		if err := p.Resolve(t.Context(), r.lookup); err != nil {
			t.Fatal(err)
		}
		asked := make(chan struct{})
		stop := p.StartResolving(every, func(ctx context.Context, host string) ([]netip.Addr, error) {
			<-asked
			return r.lookup(ctx, host)
		})
		seen := 0
		for i, step := range script {
			r["a.example"] = step.answer
			asked <- struct{}{}
			synctest.Wait()
			time.Sleep(every / 2) // until a look-up without answer is given up
			synctest.Wait()
			if got := endpoints(p.Nodes()[0], 1); got != step.want {
				t.Errorf("step %d: got %v, want %v", i, got, step.want)
			}
			messages := log.messages()
			if got := strings.Join(messages[seen:], ", "); got != step.logged {
				t.Errorf("step %d: logged %q, want %q", i, got, step.logged)
			}
			seen = len(messages)
		}
		close(asked)
		stop()
	})
}

// A name that had no address at first is used as soon as it has one, and waiting flows are woken.
// Stopping does not wait for a look-up that hangs.
func TestResolvedLater(t *testing.T) {
	captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		r := resolver{"a.example": errors.New("broken")}
		p := newPool(t, append(named("a.example"), limited(specs(1), 1)...), backend.Options{QueueLen: 1})
		told := make(chan struct{}, 1)
		p.OnRoom(func() { told <- struct{}{} })
		if err := p.Resolve(t.Context(), r.lookup); err == nil {
			t.Fatal("resolved")
		}
		if got := picks(p, time.Now(), 2); got != "0 full" || !p.Enqueue() {
			t.Fatalf("got %v and not queued, want 0 full", got)
		}
		r["a.example"] = "192.0.2.1"
		hangs := make(chan struct{})
		first := true
		stop := p.StartResolving(time.Minute,
			func(ctx context.Context, host string) ([]netip.Addr, error) {
				if !first {
					close(hangs)
					<-ctx.Done()
					return nil, ctx.Err()
				}
				first = false
				return r.lookup(ctx, host)
			})
		<-told
		if got := picks(p, time.Now(), 1); got != "a.example:80" {
			t.Errorf("got %v, want a.example:80", got)
		}
		<-hangs
		begun := time.Now()
		stop()
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("stopping took %v", waited)
		}
	})
}
