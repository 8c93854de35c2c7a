package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

const (
	// mostGrowth is how much memory, with garbage that has yet to be collected, a node may take for
	// an attacker that reconnects again and again.
	mostGrowth = 192 << 20
	// mostSlower is how many times longer the requests of another client may take under
	// attack, by the 99th percentile.
	mostSlower = 2
)

// TestHTTP2Attacks: an attack by HTTP/2 costs bounded memory, and another client of the same loop
// is served meanwhile. How long that one waits is printed. With REPRISE_LONG in the environment,
// for which the machine must be quiet, each attack is made once more where client-handshakes bounds
// how often the attacker reconnects, and then the other client's wait must stay within mostSlower.
func TestHTTP2Attacks(t *testing.T) {
	for _, tc := range []struct {
		name string
		once func(a *attacker, i uint32) // writes piece number i of the attack
	}{
		{"rapid reset (CVE-2023-44487)", func(a *attacker, i uint32) {
			a.get(2*i + 1)
			_ = a.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}},
		{"MadeYouReset (CVE-2025-8671)", func(a *attacker, i uint32) {
			a.get(2*i + 1)
			_ = a.WriteWindowUpdate(2*i+1, 1<<31-1)
		}},
		{"CONTINUATION (CVE-2023-45288)", func(a *attacker, i uint32) {
			if i == 0 {
				_ = a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.head()})
			}
			_ = a.WriteContinuation(1, false, a.block("x", "y"))
		}},
		{"SETTINGS", func(a *attacker, _ uint32) { _ = a.WriteSettings() }},
		{"PING", func(a *attacker, _ uint32) { _ = a.WritePing(false, [8]byte{}) }},
		{"empty DATA", func(a *attacker, i uint32) {
			if i == 0 {
				_ = a.WriteHeaders(http2.HeadersFrameParam{
					StreamID: 1, BlockFragment: a.head(),
					EndHeaders: true,
				})
			}
			_ = a.WriteData(1, false, nil)
		}},
		{"WINDOW_UPDATE", func(a *attacker, _ uint32) { _ = a.WriteWindowUpdate(0, 1) }},
		{"PRIORITY", func(a *attacker, i uint32) { _ = a.WritePriority(2*i+1, http2.PriorityParam{Weight: 1}) }},
		{"HPACK bomb (CVE-2016-6581)", func(a *attacker, i uint32) {
			a.get(2*i+1, slices.Repeat([]string{"x", strings.Repeat("y", 4000)}, 100)...)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { judgeAttack(t, tc.once) })
		if os.Getenv("REPRISE_LONG") != "" {
			t.Run(tc.name+" limited", func(t *testing.T) { judgeAttack(t, tc.once, "--client-handshakes=5") })
		}
	}
}

func judgeAttack(t *testing.T, once func(a *attacker, i uint32), options ...string) {
	length := time.Second / 4
	if os.Getenv("REPRISE_LONG") != "" {
		length = 2 * time.Second
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_, _ = io.WriteString(w, "hello")
	}))
	defer backend.Close()
	web := nettest.FreeAddr(t)
	n := start(t, testpki.ECDSA, "", append(options, "--https="+web+",PAIR", "--http-to="+backend.URL)...)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   n.config(0),
		ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	ask := func() (waits []time.Duration) {
		for begun := time.Now(); time.Since(begun) < length; {
			asked := time.Now()
			if err := get(client, "https://"+web+"/"); err != nil {
				t.Fatal(err)
			}
			waits = append(waits, time.Since(asked))
		}
		slices.Sort(waits)
		return waits
	}
	ask()
	quiet := ask()
	before, err := nettest.RSS(n.Pid())
	if err != nil {
		t.Fatal(err)
	}
	endAttack := attackUntil(t, func(stop <-chan struct{}) (int, error) {
		return attackOnce(web, n.config(0), stop, once)
	})
	attacked := ask()
	after, err := nettest.RSS(n.Pid())
	if err != nil {
		t.Fatal(err)
	}
	connections, pieces := endAttack()
	n.Kill() // else the test would wait for lingering connections
	p99 := func(d []time.Duration) time.Duration { return d[len(d)*99/100] }
	slower := float64(p99(attacked)) / float64(p99(quiet))
	t.Logf("%d connections, %d pieces of the attack; p50 %v and p99 %v when it is quiet, %v and %v under attack: %.1f times; memory grew by %d KB",
		connections, pieces, quiet[len(quiet)/2], p99(quiet), attacked[len(attacked)/2], p99(
			attacked), slower, (after-before)>>10)
	if connections == 0 || pieces == 0 {
		t.Error("the attack did not take place")
	}
	if after-before > mostGrowth {
		t.Errorf("memory grew by %d bytes, want %d at most", after-before, mostGrowth)
	}
	if len(options) > 0 && slower > mostSlower {
		t.Errorf("another client's p99 is %.1f times what it is when it is quiet, want %d at most", slower, mostSlower)
	}
}

// attackUntil attacks over and over, until it is ended.
func attackUntil(t *testing.T, attackIt func(stop <-chan struct{}) (pieces int,
	err error),
) (end func() (connections, pieces int)) {
	stop := make(chan struct{})
	var attack sync.WaitGroup
	var connections, pieces int
	attack.Go(func() {
		// The node is measured, not which part of the test gets the other core first.
		runtime.LockOSThread()
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{
			Size:   unix.SizeofSchedAttr,
			Policy: unix.SCHED_IDLE,
		}, 0); err != nil {
			t.Error(err)
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, err := attackIt(stop)
			if err != nil {
				t.Error(err)
				return
			}
			connections, pieces = connections+1, pieces+n
		}
	})
	return func() (int, int) {
		close(stop)
		attack.Wait()
		return connections, pieces
	}
}

func get(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.ProtoMajor != 2 || string(body) != "hello") {
		err = errors.New("got " + response.Proto + " and " + string(body))
	}
	return err
}

// An attacker is one connection, whose frames are written in large pieces.
type attacker struct {
	*http2.Framer
	out    bytes.Buffer
	encode *hpack.Encoder
	fields bytes.Buffer
}

// attackOnce attacks until the node ends the connection, and returns with how many pieces.
func attackOnce(addr string, config *tls.Config, stop <-chan struct{},
	once func(a *attacker, i uint32),
) (pieces int, err error) {
	config.NextProtos = []string{"h2"}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}} // another client's address
	raw, err := from.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(harness.Patience))
	conn := tls.Client(raw, config)
	if conn.Handshake() != nil {
		return 0, nil // refused
	}
	go func() { // until the node ends it, which is seen before a write is refused
		defer raw.Close()
		for answers := http2.NewFramer(nil, conn); ; {
			f, err := answers.ReadFrame()
			if _, isEnd := f.(*http2.GoAwayFrame); isEnd || err != nil {
				return
			}
		}
	}()
	a := &attacker{}
	a.Framer, a.encode = http2.NewFramer(&a.out, nil), hpack.NewEncoder(&a.fields)
	a.AllowIllegalWrites = true
	a.out.WriteString(http2.ClientPreface)
	_ = a.WriteSettings()
	const most = 1 << 20
	for i := range uint32(most) {
		once(a, i)
		pieces++
		if a.out.Len() < 32<<10 {
			continue
		}
		if _, err := conn.Write(a.out.Bytes()); err != nil {
			return pieces, nil
		}
		a.out.Reset()
		select {
		case <-stop:
			return pieces, nil
		default:
		}
	}
	return pieces, nil
}

// get writes a request with further fields, which come in names and values.
func (a *attacker) get(id uint32, fields ...string) {
	_ = a.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      id,
		BlockFragment: append(a.head(), a.block(fields...)...), EndStream: true, EndHeaders: true,
	})
}

func (a *attacker) head() []byte {
	return bytes.Clone(a.block(":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/"))
}

func (a *attacker) block(fields ...string) []byte {
	a.fields.Reset()
	for pair := range slices.Chunk(fields, 2) {
		_ = a.encode.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]})
	}
	return a.fields.Bytes()
}
