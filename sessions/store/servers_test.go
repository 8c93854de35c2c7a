package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/rueidis"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// startRedis runs redis-server at addr with further arguments.
func startRedis(t testing.TB, addr string, args ...string) *nettest.Process {
	t.Helper()
	nettest.Need(t, "redis-server")
	_, port, _ := net.SplitHostPort(addr)
	given := []string{"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--rdbcompression", "no"}
	return nettest.Start(t, nettest.Command{Path: "redis-server", Args: append(given, args...), Timeout: patience},
		nettest.Prints("Ready to accept connections"))
}

// startRedisTLS runs redis-server with a certificate for name and returns its
// address.
func startRedisTLS(t *testing.T, pki *testpki.PKI, name string) string {
	cert, addr := pki.Server(testpki.ECDSA, name), nettest.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	startRedis(t, "127.0.0.1:0", "--tls-port", port, "--tls-cert-file", cert.CertFile, "--tls-key-file", cert.KeyFile,
		"--tls-ca-cert-file", pki.CAFile, "--tls-auth-clients", "no")
	return addr
}

func startMemcached(t testing.TB, addr string) *nettest.Process {
	t.Helper()
	nettest.Need(t, "memcached")
	_, port, _ := net.SplitHostPort(addr)
	return nettest.Start(t, nettest.Command{
		Path: "memcached", Args: []string{"-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", "0"},
		Timeout: patience,
	},
		nettest.Accepts(addr))
}

// startCluster runs three nodes of a Redis Cluster and returns their addresses.
func startCluster(t *testing.T) (addrs []string) {
	var nodes []rueidis.Client
	for i := range 3 {
		addr, bus := nettest.FreeAddr(t), strconv.Itoa(nettest.FreePort(t))
		startRedis(t, addr, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-announce-ip", "127.0.0.1")
		node := redisClient(t, addr)
		first, last := i*16384/3, (i+1)*16384/3-1
		command(t, node, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		if i > 0 {
			_, port, _ := net.SplitHostPort(addr)
			command(t, nodes[0], "CLUSTER", "MEET", "127.0.0.1", port, bus)
		}
		addrs, nodes = append(addrs, addr), append(nodes, node)
	}
	for _, node := range nodes {
		nettest.Eventually(t, patience, func() bool {
			info := command(t, node, "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		}, "the cluster to form")
	}
	return addrs
}

// redisClient looks into a server without the store.
func redisClient(t *testing.T, addr string) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{addr},
		ForceSingleClient: true, DisableCache: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func command(t *testing.T, client rueidis.Client, words ...string) string {
	t.Helper()
	answer, err := client.Do(context.Background(), client.B().Arbitrary(words...).Build()).ToAny()
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return fmt.Sprint(answer)
}

// journal is a store's log.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) log(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// openStore opens the store at url with little patience for outages. The look-up time-out is large,
// unless the test gives its own: it must not decide tests.
func openStore(t testing.TB, url string, o Options) (*Store, *journal) {
	t.Helper()
	var j journal
	o.Secrets = [][]byte{[]byte(strings.Repeat("a", 32))}
	if o.LookupTimeout == 0 {
		o.LookupTimeout = patience
	}
	o.BreakerMinWait, o.BreakerMaxWait = 5*time.Millisecond, 50*time.Millisecond
	o.Log = j.log
	s, err := Open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		begin := time.Now()
		s.Close()
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("Close took %v", took)
		}
		t.Logf("the store said: %s", &j)
	})
	return s, &j
}

// servers are the kinds of server, each with the function that starts one and returns its URL.
var servers = map[string]func(t *testing.T) (url string){
	"redis": func(t *testing.T) string {
		addr := nettest.FreeAddr(t)
		startRedis(t, addr)
		return "redis://" + addr + "/3"
	},
	"redis with password": func(t *testing.T) string {
		addr := nettest.FreeAddr(t)
		startRedis(t, addr, "--requirepass", "p@ss/word")
		return "redis://:p@ss/word@" + addr
	},
	"redis with user": func(t *testing.T) string {
		addr := nettest.FreeAddr(t)
		// The user has only the rights that doc.go lists.
		startRedis(t, addr, "--user", "eve", "on", ">secret", "~reprise:*", "+get", "+pttl", "+set", "+del", "+eval",
			"--user", "default", "off")
		return "redis://eve:secret@" + addr
	},
	"rediss": func(t *testing.T) string {
		pki := testpki.New(t)
		return "rediss://" + startRedisTLS(t, pki, "127.0.0.1") + "?ca=" + pki.CAFile
	},
	"redis cluster": func(t *testing.T) string {
		return "redis://" + strings.Join(startCluster(t), ",")
	},
	"memcached": func(t *testing.T) string {
		addr := nettest.FreeAddr(t)
		startMemcached(t, addr)
		return "memcached://" + addr
	},
	"two memcached": func(t *testing.T) string {
		one, two := nettest.FreeAddr(t), nettest.FreeAddr(t)
		startMemcached(t, one)
		startMemcached(t, two)
		return "memcached://" + one + "," + two
	},
}

func TestServers(t *testing.T) {
	for name, startServer := range servers {
		t.Run(name, func(t *testing.T) {
			nettest.LeakCheck(t)
			url := startServer(t)
			writer, _ := openStore(t, url, Options{})
			reader, _ := openStore(t, url, Options{})
			awaitReady(t, writer)
			awaitReady(t, reader)
			t.Run("round trip", func(t *testing.T) { testRoundTrip(t, writer, reader) })
			t.Run("rules", func(t *testing.T) { testRulesAtOnce(t, url) })
			t.Run("expiry", func(t *testing.T) { testExpiry(t, writer, reader) })
		})
	}
}

func testRoundTrip(t *testing.T, writer, reader *Store) {
	for i := range 20 { // enough to use every node of a cluster
		key, value := randomKey(), bytes.Repeat([]byte("\x00\r\n\xffstate"), 1+i*100)
		if got := ask(t, reader, key); got.ok {
			t.Fatalf("found %q before it was stored", got.value)
		}
		put(t, writer, key, string(value), time.Hour)
		got := ask(t, reader, key)
		if !got.ok || !bytes.Equal(got.value, value) {
			t.Fatalf("stored %d bytes, got %d, %v", len(value), len(got.value), got.ok)
		}
		if got.left > time.Hour || got.left < time.Hour-patience {
			t.Errorf("an hour becomes %v", got.left)
		}
		deleted := writer.Stats().Deletes.Load()
		if !writer.Delete(key) {
			t.Fatal("does not delete")
		}
		nettest.Eventually(t, patience, func() bool { return writer.Stats().Deletes.Load() > deleted }, "the deletion")
		if got := ask(t, reader, key); got.ok {
			t.Fatal("found after it was deleted")
		}
	}
	if got := reader.Stats(); got.Hits.Load() < 20 || got.Misses.Load() < 40 ||
		got.Errors.Load()+got.Late.Load()+got.NotAuthentic.Load() != 0 {
		t.Errorf("counts %+v", got)
	}
}

// Of commands given at several nodes at one moment none is lost.
func testRulesAtOnce(t *testing.T, url string) {
	var nodes []*Store
	var rules []*fakeRules
	for range 4 {
		rules = append(rules, &fakeRules{})
		s, _ := openStore(t, url, Options{Rules: rules[len(rules)-1]})
		awaitReady(t, s)
		nodes = append(nodes, s)
	}
	want := ""
	for round := range 5 {
		var written sync.WaitGroup
		for i, s := range nodes {
			word := fmt.Sprintf("%d.%d", round, i)
			want = strings.TrimSpace(want + " " + word)
			rules[i].add(word)
			written.Add(1)
			s.Sync(func(err error) {
				defer written.Done()
				if err != nil {
					t.Error(err)
				}
			})
		}
		written.Wait()
		late := &fakeRules{}
		s, _ := openStore(t, url, Options{Rules: late})
		awaitReady(t, s)
		if got := late.String(); got != want {
			t.Fatalf("a node that starts after all were written knows %q, want %q", got, want)
		}
	}
}

func testExpiry(t *testing.T, writer, reader *Store) {
	const lifetime = 300 * time.Millisecond
	key, begin := randomKey(), time.Now()
	put(t, writer, key, "state", lifetime)
	last := lifetime
	nettest.Eventually(t, patience, func() bool {
		got := ask(t, reader, key)
		if got.ok && got.left > last {
			t.Errorf("%v are left, after %v", got.left, last)
		}
		last = got.left
		return !got.ok
	}, "the session to expire")
	// Ages are rounded up, and times of writing down.
	if took := time.Since(begin); took < lifetime-10*time.Millisecond {
		t.Errorf("expired after %v, want %v", took, lifetime)
	}
}

// TestServerSeesNothing searches all that a Redis server would write to its disk, and all that
// memcached holds.
func TestServerSeesNothing(t *testing.T) {
	value, key := "a master secret, of all things", [16]byte([]byte("the session's id"))
	clear := []string{
		value, string(key[:]), hex.EncodeToString(key[:]),
		base64.StdEncoding.EncodeToString(key[:])[:21], base64.URLEncoding.EncodeToString(key[:])[:21],
	}
	name := testSecretOf(t).name("reprise:", key)
	check := func(t *testing.T, held string) {
		if !strings.Contains(held, name) {
			t.Fatalf("%s is not in what the server holds", name)
		}
		for _, secret := range clear {
			if strings.Contains(held, secret) {
				t.Errorf("the server holds %q", secret)
			}
		}
	}
	t.Run("redis", func(t *testing.T) {
		addr := nettest.FreeAddr(t)
		dir := t.TempDir()
		startRedis(t, addr, "--dir", dir)
		s, _ := openStore(t, "redis://"+addr, Options{})
		awaitReady(t, s)
		put(t, s, key, value, time.Hour)
		command(t, redisClient(t, addr), "SAVE")
		dump, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, string(dump))
	})
	t.Run("memcached", func(t *testing.T) {
		addr := nettest.FreeAddr(t)
		startMemcached(t, addr)
		s, _ := openStore(t, "memcached://"+addr, Options{})
		awaitReady(t, s)
		put(t, s, key, value, time.Hour)
		client := memcache.New(addr)
		defer client.Close()
		item, err := client.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		check(t, item.Key+string(item.Value))
	})
}

// testSecretOf is the secret that openStore uses.
func testSecretOf(t *testing.T) *secret {
	s, err := newSecret([]byte(strings.Repeat("a", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFlippedBitInRedis(t *testing.T) {
	s, got := afterCommand(t, "SETRANGE", "20", "\x00\x00")
	if got.ok {
		t.Errorf("got %q", got.value)
	}
	if got := s.Stats(); got.NotAuthentic.Load() != 1 || got.Misses.Load() != 1 {
		t.Errorf("counts %+v", got)
	}
}

// Removing a session's expiry on the server does not make it immortal.
func TestPersistedInRedis(t *testing.T) {
	if _, got := afterCommand(t, "PERSIST"); got.ok {
		t.Errorf("found, with %v left", got.left)
	}
}

// afterCommand puts a session into Redis, has another client change it there, and asks for
// it.
func afterCommand(t *testing.T, name string, args ...string) (*Store, reply) {
	t.Helper()
	addr := nettest.FreeAddr(t)
	startRedis(t, addr)
	s, _ := openStore(t, "redis://"+addr, Options{})
	awaitReady(t, s)
	key := [16]byte{1}
	put(t, s, key, "state", time.Hour)
	command(t, redisClient(t, addr), append([]string{name, testSecretOf(t).name("reprise:", key)}, args...)...)
	return s, ask(t, s, key)
}

func TestRedissVerifies(t *testing.T) {
	pki := testpki.New(t)
	elsewhere := startRedisTLS(t, pki, "elsewhere.example")
	here := startRedisTLS(t, pki, "127.0.0.1")
	for name, tc := range map[string]struct{ url, want string }{
		"other name":      {"rediss://" + elsewhere + "?ca=" + pki.CAFile, "doesn't contain any IP SANs"},
		"other authority": {"rediss://" + here + "?ca=" + testpki.New(t).CAFile, "unknown authority"},
		"system's":        {"rediss://" + here, "unknown authority"},
		"no TLS":          {"redis://" + here, "is left alone"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j := openStore(t, tc.url, Options{})
			nettest.Eventually(t, patience, func() bool { return strings.Contains(j.String(), tc.want) }, "a line with %q",
				tc.want)
			if s.Set([16]byte{1}, nil, 0, time.Hour) {
				t.Error("a server with the wrong certificate is used")
			}
		})
	}
}

// BenchmarkLookup has one hit in flight at a time, and as many as there are readers.
func BenchmarkLookup(b *testing.B) {
	redis, memcached := nettest.FreeAddr(b), nettest.FreeAddr(b)
	startRedis(b, redis)
	startMemcached(b, memcached)
	for _, url := range []string{"redis://" + redis, "memcached://" + memcached} {
		kind, _, _ := strings.Cut(url, ":")
		s, _ := openStore(b, url, Options{})
		nettest.Eventually(b, patience, s.breaker.allows, "the store to be used")
		s.Set([16]byte{1}, make([]byte, 1500), 0, time.Hour)
		nettest.Eventually(b, patience, func() bool { return s.Stats().Sets.Load() == 1 }, "the session to be written")
		for _, flying := range []int{1, readers} {
			b.Run(fmt.Sprintf("server=%s/flying=%d", kind, flying), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(flying) // for each core
				if flying == 1 {
					for b.Loop() {
						askOnce(s, [16]byte{1})
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						askOnce(s, [16]byte{1})
					}
				})
			})
		}
	}
}
