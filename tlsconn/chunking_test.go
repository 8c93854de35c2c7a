package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"reprise/tlsconn"

	"reprise/internal/testpki"
)

// cuts are the ways in which the same bytes may arrive.
func cuts() map[string]func(int) int {
	return map[string]func(int) int{
		"whole":        whole,
		"byte by byte": oneByOne,
		"random":       randomCut(rand.New(rand.NewPCG(1, 2))),
		"random bulk":  func(n int) int { return 1 + rand.IntN(n) },
	}
}

func oneByOne(int) int { return 1 }

// randomCut prefers few bytes, among which headers end.
func randomCut(r *rand.Rand) func(int) int {
	return func(n int) int { return min(n, 1+r.IntN(1+r.IntN(2000))) }
}

// What a connection does must not depend on how its input is cut: the same
// states, the same outcome, the same plaintext.
func TestChunking(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		request := make([]byte, 100_000)
		rand.NewChaCha8([32]byte{}).Read(request)
		for _, version := range versions {
			for _, key := range []testpki.KeyType{testpki.ECDSA, testpki.RSA} {
				var later laterWorkers
				s := e.server(t, func(c *tlsconn.Config) {
					c.Certificates, c.Workers = certificates(t, key),
						&later
				})
				client, _ := clientOf(version.id)
				later.handshake(newPair(t, s, client)) // so that all that follow resume
				for _, full := range []bool{true, false} {
					wantStates := []tlsconn.State{
						tlsconn.ExpectHandshakeBytes, tlsconn.Connected,
						tlsconn.PeerClosed,
					}
					if full && key == testpki.RSA {
						wantStates = []tlsconn.State{
							tlsconn.ExpectHandshakeBytes, tlsconn.AwaitSignature,
							tlsconn.ExpectHandshakeBytes, tlsconn.Connected, tlsconn.PeerClosed,
						}
					}
					for name, cut := range cuts() {
						t.Run(fmt.Sprintf("%s/%v/full=%t/%s", version.name, key, full, name), func(t *testing.T) {
							config, want := client, tlsconn.ResumedLocal
							if full {
								config, _ = clientOf(version.id)
								want = tlsconn.NewClient
							}
							p := newPair(t, s, config)
							p.link.cut = cut
							later.handshake(p)
							p.exchange(request, request)
							for i := range 50 { // records of many sizes at once
								p.client.Write(request[:i*7])
							}
							p.client.CloseWrite()
							p.link.drive()
							if got := len(p.link.takePlaintext()); got != 7*49*50/2 {
								t.Errorf("server read %d bytes, want %d", got, 7*49*50/2)
							}
							if got := p.conn.Info().Outcome; got != want {
								t.Errorf("got %v, want %v", got, want)
							}
							if !slices.Equal(p.link.states, wantStates) {
								t.Errorf("states: got %v, want %v", p.link.states, wantStates)
							}
						})
					}
				}
			}
		}
	})
}

// laterWorkers sign when the handshake is parked, so that it always is.
type laterWorkers struct{ work func() }

func (l *laterWorkers) TrySubmit(work func(), _ *atomic.Bool) bool { l.work = work; return true }

func (l *laterWorkers) handshake(p *pair) {
	p.link.parked = func(tlsconn.State) {
		l.work()
		p.link.toClient = p.conn.Resume(p.link.toClient)
	}
	p.doHandshake()
}

// The same for what the reader asks for at once.
func TestSmallReads(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			client, _ := clientOf(version.id)
			p := newPair(t, e.server(t), client).doHandshake()
			p.client.Write([]byte("hello"))
			p.client.Write([]byte(", world"))
			p.conn.Feed(nil, p.link.toServer)
			p.link.toServer = nil
			var got []byte
			for b := [1]byte{}; ; got = append(got, b[0]) {
				if n, _ := p.conn.Read(nil, b[:]); n == 0 {
					break
				}
			}
			if string(got) != "hello, world" {
				t.Errorf("%s: got %q", version.name, got)
			}
		}
	})
}

// A handshake's last flight and the first data often come together.
func TestDataBehindTheHandshake(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for name, cut := range cuts() {
			s := e.server(t)
			client, _ := clientOf(tls.VersionTLS13)
			p := newPair(t, s, client)
			p.link.cut = cut
			// with the client's Finished
			if _, err := p.client.Write(bytes.Repeat([]byte("d"), 40_000)); err != nil {
				t.Fatal(err)
			}
			p.client.CloseWrite()
			p.link.drive()
			if got := p.link.takePlaintext(); len(got) != 40_000 || p.conn.State() != tlsconn.PeerClosed {
				t.Errorf("%s: server read %d bytes, state %v (%v)", name, len(got), p.conn.State(), p.conn.Err())
			}
		}
	})
}

// What is written is one record per 16 KiB, whatever came before.
func TestWriteMakesFullRecords(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		client, _ := clientOf(tls.VersionTLS13)
		p := newPair(t, e.server(t), client).doHandshake()
		out := p.conn.Write([]byte("prefix"), make([]byte, 32<<10))
		if !bytes.HasPrefix(out, []byte("prefix")) {
			t.Fatal("what the slice held is gone")
		}
		if want := len("prefix") + 2*(5+16<<10+17); len(out) != want {
			t.Errorf("got %d bytes, want %d", len(out), want)
		}
		p.link.toClient = out[len("prefix"):]
		if _, err := io.ReadFull(p.client, make([]byte, 32<<10)); err != nil {
			t.Error(err)
		}
	})
}
