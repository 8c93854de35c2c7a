package store

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// outage is a store with its server and the server's failure and recovery.
type outage struct {
	url   string
	start func(t *testing.T) *nettest.Process
}

func outages(t *testing.T) map[string]outage {
	redis, memcached := nettest.FreeAddr(t), nettest.FreeAddr(t)
	return map[string]outage{
		"redis":     {"redis://" + redis, func(t *testing.T) *nettest.Process { return startRedis(t, redis) }},
		"memcached": {"memcached://" + memcached, func(t *testing.T) *nettest.Process { return startMemcached(t, memcached) }},
	}
}

// lookUntilOpen makes look-ups until the server is left alone, and returns the slowest one's
// duration.
func lookUntilOpen(t *testing.T, s *Store) (slowest time.Duration) {
	t.Helper()
	nettest.Eventually(t, patience, func() bool {
		answered := make(chan struct{})
		begin := time.Now()
		if !s.Get(randomKey(), func(_ []byte, _, _ time.Duration, ok bool) {
			if ok {
				t.Error("found what was never stored")
			}
			close(answered)
		}) {
			return true
		}
		<-answered
		slowest = max(slowest, time.Since(begin))
		return false
	}, "the server to be left alone")
	return slowest
}

func TestHungServer(t *testing.T) {
	const budget = 200 * time.Millisecond // large enough for a busy machine with a healthy server
	for name, o := range outages(t) {
		t.Run(name, func(t *testing.T) {
			nettest.LeakCheck(t)
			process := o.start(t)
			s, j := openStore(t, o.url, Options{LookupTimeout: budget})
			awaitReady(t, s)
			put(t, s, [16]byte{1}, "state", time.Hour)

			process.Signal(syscall.SIGSTOP)
			defer process.Signal(syscall.SIGCONT)
			slowest := lookUntilOpen(t, s)
			t.Logf("slowest look-up %v, budget %v", slowest, budget)
			if slowest > 5*budget {
				t.Errorf("a look-up took %v, the budget is %v", slowest, budget)
			}
			if got := s.Stats(); got.Late.Load()+got.Errors.Load() < 5 || got.Late.Load() == 0 ||
				!got.BreakerOpen {
				t.Errorf("counts %+v", got)
			}
			begin := time.Now()
			for range 1000 {
				if s.Get([16]byte{1}, nil) || s.Set([16]byte{1}, []byte("state"), 0, time.Hour) {
					t.Fatal("a hung server is asked")
				}
			}
			t.Logf("%v for each look-up and write while it is left alone", time.Since(begin)/2000)

			process.Signal(syscall.SIGCONT)
			awaitReady(t, s)
			nettest.Eventually(t, patience, func() bool {
				return s.breaker.allows() &&
					askOnce(s, [16]byte{1}) == "state"
			}, "the session to be found again")
			if lines := j.String(); !strings.Contains(lines, "no answer in time") || !strings.Contains(lines, "answers again") {
				t.Errorf("the log says %q", lines)
			}
		})
	}
}

func TestCloseWithHungServer(t *testing.T) {
	check := func(t *testing.T, s *Store) {
		begin := time.Now()
		s.Close()
		took := time.Since(begin)
		t.Logf("Close took %v", took)
		if took > patience/2 {
			t.Errorf("Close took %v", took)
		}
	}
	for name, o := range outages(t) {
		t.Run(name, func(t *testing.T) {
			nettest.LeakCheck(t)
			process := o.start(t)
			s, _ := openStore(t, o.url, Options{LookupTimeout: 200 * time.Millisecond})
			awaitReady(t, s)
			process.Signal(syscall.SIGSTOP)
			defer process.Signal(syscall.SIGCONT)
			var answered sync.WaitGroup
			for range 2 * readers {
				s.Set(randomKey(), []byte("state"), 0, time.Hour)
				answered.Add(1)
				if !s.Get(randomKey(), func([]byte, time.Duration, time.Duration, bool) { answered.Done() }) {
					answered.Done()
				}
			}
			check(t, s)
			answered.Wait()
		})
	}
	t.Run("while connecting", func(t *testing.T) {
		nettest.LeakCheck(t)
		var hosts []string
		var backends []*nettest.Backend
		for range 4 {
			b := nettest.Serve(t, nettest.Silent)
			hosts, backends = append(hosts, b.Addr), append(backends, b)
		}
		s, _ := openStore(t, "redis://"+strings.Join(hosts, ","), Options{})
		nettest.Eventually(t, patience,
			func() bool { return backends[0].Accepted()+backends[1].Accepted() > 0 }, "a connection")
		check(t, s)
	})
}

// askOnce returns what is found, or "" if the server is left alone.
func askOnce(s *Store, key [16]byte) string {
	answer := make(chan string, 1)
	if !s.Get(key, func(value []byte, _, _ time.Duration, _ bool) { answer <- string(value) }) {
		return ""
	}
	return <-answer
}

func TestServerKilledAndRestarted(t *testing.T) {
	for name, o := range outages(t) {
		t.Run(name, func(t *testing.T) {
			nettest.LeakCheck(t)
			// It may be down from the start.
			s, j := openStore(t, o.url, Options{LookupTimeout: time.Second})
			nettest.Eventually(t, patience, func() bool { return j.String() != "" }, "a line in the log")
			if s.Get([16]byte{1}, nil) {
				t.Error("a server that was never there is asked")
			}
			for range 3 {
				process := o.start(t)
				awaitReady(t, s)
				nettest.Eventually(t, patience, func() bool {
					s.Set([16]byte{1}, []byte("state"), 0, time.Hour)
					return askOnce(s, [16]byte{1}) == "state"
				}, "the restarted server to be used")
				process.Kill()
				lookUntilOpen(t, s)
			}
			if lines := j.String(); strings.Count(lines, "\n") > 20 {
				t.Errorf("three outages are %s", lines)
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	addr := nettest.FreeAddr(t)
	startRedis(t, addr, "--user", "eve", "on", ">right", "~*", "+@all")
	s, j := openStore(t, "redis://eve:hunter2@"+addr, Options{})
	inspector := redisClient(t, addr)
	failed := regexp.MustCompile(`cmdstat_hello:.*failed_calls=(\d+)`)
	nettest.Eventually(t, patience, func() bool {
		m := failed.FindStringSubmatch(command(t, inspector, "INFO", "commandstats"))
		if m == nil {
			return false
		}
		n, _ := strconv.Atoi(m[1])
		return n >= 5
	}, "the fifth attempt")
	if got := s.Stats(); !got.BreakerOpen {
		t.Error("a server that refuses the password is asked")
	}
	lines := j.String()
	if strings.Contains(lines, "\n") || !strings.Contains(lines, "WRONGPASS") || !strings.Contains(lines, addr) {
		t.Errorf("the log says %q, want one line that names address and reason", lines)
	}
	if strings.Contains(lines, "hunter2") || strings.Contains(lines, "eve") {
		t.Errorf("credentials in %q", lines)
	}
}

// Redis before version 6 quotes commands it does not know, and HELLO carries the password.
func TestPasswordInServerError(t *testing.T) {
	backend := nettest.Serve(t, func(conn net.Conn) {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for range bytes.Count(buf[:n], []byte("*")) {
				fmt.Fprintf(conn, "-ERR invalid command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `hunter2`,\r\n")
			}
		}
	})
	_, j := openStore(t, "redis://:hunter2@"+backend.Addr, Options{})
	nettest.Eventually(t, patience, func() bool { return strings.Contains(j.String(), "invalid command") }, "a line in the log")
	if strings.Contains(j.String(), "hunter2") {
		t.Errorf("the password is in %q", j)
	}
}
