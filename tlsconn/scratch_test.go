package tlsconn

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"reprise/internal/testpki"
)

// visit calls see with the bytes of every array and slice of bytes in v, up to a
// slice's capacity, and of every number.
func visit(v reflect.Value, see func(path string, b []byte), path string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			visit(v.Field(i), see, path+"."+v.Type().Field(i).Name)
		}
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			see(path, unsafe.Slice((*byte)(v.Addr().UnsafePointer()), v.Len()))
			return
		}
		for i := range v.Len() {
			visit(v.Index(i), see, path)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Cap() > 0 {
			see(path, unsafe.Slice((*byte)(v.UnsafePointer()), v.Cap()))
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Int:
		see(path, unsafe.Slice((*byte)(v.Addr().UnsafePointer()), int(v.Type().Size())))
	}
}

// poisonScratch fills all that may be different after another connection's step.
func poisonScratch(s *server) {
	junk := bytes.Repeat([]byte{0xA5}, 300)
	fill := func(_ string, b []byte) {
		for i := range b {
			b[i] = 0xA5
		}
	}
	// What these alias is the connections' own.
	aliases(reflect.ValueOf(&s.hello).Elem(), junk)
	aliases(reflect.ValueOf(&s.chain).Elem(), junk)
	visit(reflect.ValueOf(&s.scratch).Elem(), fill, "scratch")
	s.out = nil // between two steps it is the caller's
	s.flight, s.small, s.state = s.flight[:0], s.small[:0], s.state[:0]
}

// aliases lets all slices of bytes in v be junk.
func aliases(v reflect.Value, junk []byte) {
	v = reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem() // fields of other packages, too
	switch {
	case v.Type() == reflect.TypeFor[[]byte]():
		v.SetBytes(junk)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			aliases(v.Index(i), junk)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			aliases(v.Field(i), junk)
		}
	}
}

// ways are the kinds of handshake there are.
var ways = map[string]*tls.Config{
	"TLS 1.3":                    {MinVersion: version13},
	"TLS 1.3, P-384 first":       {MinVersion: version13, CurvePreferences: []tls.CurveID{tls.CurveP384}},
	"TLS 1.3, HelloRetryRequest": {MinVersion: version13, CurvePreferences: []tls.CurveID{tls.CurveP521, tls.CurveP256}},
	"TLS 1.2": {
		MaxVersion:       version12,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
	},
	"TLS 1.2, P-256": {MaxVersion: version12, CurvePreferences: []tls.CurveID{tls.CurveP256}},
}

// deferred does work when the test says so, which is between two steps.
type deferred struct{ work []func() }

func (d *deferred) TrySubmit(work func(), _ *atomic.Bool) bool {
	d.work = append(d.work, work)
	return true
}

// orders say which of n connections goes on next, and by how many bytes.
var orders = []struct {
	name string
	next func(n int, r *rand.Rand) func(int) (int, int)
}{
	{"byte by byte", func(n int, _ *rand.Rand) func(int) (int, int) {
		bytes := 1
		if raceEnabled {
			bytes = 50 // the poison is what takes long
		}
		return func(round int) (int, int) { return round % n, bytes }
	}},
	{"at random", func(n int, r *rand.Rand) func(int) (int, int) {
		return func(int) (int, int) { return r.IntN(n), 1 + r.IntN(1<<r.IntN(12)) }
	}},
}

// Connections that share a server's scratch do not notice each other, however their
// bytes are mixed, and whatever stands in the scratch when a step begins.
func TestScratchIsForOneStep(t *testing.T) {
	pki := testpki.New(t)
	withCert := pki.Client("a client").TLS
	for _, auth := range []ClientAuth{NoClientCert, OptionalClientCert} {
		workers := new(deferred)
		s := insideServer(t, insideMemory{}, func(c *Config) {
			c.Policy = Policy{ClientAuth: auth}
			if auth != NoClientCert {
				c.ClientCAs = []*x509.Certificate{pki.CA.Cert().TLS.Leaf}
				c.Workers = workers
			}
		})
		caches := map[string]tls.ClientSessionCache{}
		for round := range 3 { // the second and third resume
			for _, order := range orders {
				t.Run(fmt.Sprintf("auth %d, round %d, %s", auth, round, order.name), func(t *testing.T) {
					var talks []*talk
					var names []string
					for name, config := range ways {
						for _, certs := range [][]tls.Certificate{nil, {withCert}} {
							if auth == NoClientCert && certs != nil {
								continue
							}
							config := config.Clone()
							config.Certificates = certs
							id := fmt.Sprintf("%s, %d certificates, %s", name, len(certs), order.name)
							if caches[id] == nil {
								caches[id] = tls.NewLRUClientSessionCache(1)
							}
							config.ClientSessionCache = caches[id]
							k := newTalk(s, config, []byte("the question of "+id))
							k.poison = func() {
								for _, work := range workers.work {
									work()
								}
								workers.work = nil
								poisonScratch(s)
							}
							talks, names = append(talks, k), append(names, id)
						}
					}
					run(t, talks, order.next(len(talks), rand.New(rand.NewPCG(uint64(round), 1))))
					for i, k := range talks {
						if k.state.DidResume != (round > 0) {
							t.Errorf("%s: resumed %t in round %d, outcome %v", names[i], k.state.DidResume, round, k.conn.Info().Outcome)
						}
						if shown := strings.Contains(names[i], "1 certificates"); shown != (k.conn.ClientCertificate() != nil) {
							t.Errorf("%s: the server has a client certificate: %t", names[i], !shown)
						}
						k.conn.Abort()
					}
				})
			}
		}
	}
}

// What a handshake knew is nowhere in the server once it is over, nor in the
// connection once that is.
func TestSecretsAreWiped(t *testing.T) {
	for name, config := range ways {
		memory := insideMemory{}
		s := insideServer(t, memory)
		config := config.Clone()
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for round := range 3 {
			k := newTalk(s, config, []byte("a question"))
			c := k.conn.(*conn)
			run(t, []*talk{k}, func(int) (int, int) { return 0, 100000 })
			if k.state.DidResume != (round > 0) {
				t.Fatalf("%s: resumed %t in round %d", name, k.state.DidResume, round)
			}
			secrets := logged(t, k.keys.Bytes())
			for _, session := range memory {
				var st sessionState
				body, _, _ := OpenState(session.State, CodecOwn)
				if !st.parse(body) {
					t.Fatal("a session does not parse")
				}
				secrets["session"] = st.secret[:st.secretLen()]
				wantNoSecret(t, name, reflect.ValueOf(s).Elem(), secrets)
			}
			if len(secrets) == 0 {
				t.Fatalf("%s: there is nothing to look for", name)
			}
			k.conn.Abort()
			wantNoSecret(t, name, reflect.ValueOf(s).Elem(), secrets)
			wantNoSecret(t, name, reflect.ValueOf(c).Elem(), secrets)
		}
	}
}

// logged reads a key log: a label, a random, a secret.
func logged(t *testing.T, log []byte) map[string][]byte {
	t.Helper()
	secrets := map[string][]byte{}
	for lines := bufio.NewScanner(bytes.NewReader(log)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		secret, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		secrets[f[0]] = secret
	}
	return secrets
}

func wantNoSecret(t *testing.T, name string, v reflect.Value, secrets map[string][]byte) {
	t.Helper()
	visit(v, func(path string, b []byte) {
		for label, secret := range secrets {
			// As it is, and as HMAC pads it.
			for _, pad := range []byte{0, 0x36, 0x5c} {
				part := bytes.Clone(secret[:16])
				for i := range part {
					part[i] ^= pad
				}
				if bytes.Contains(b, part) {
					t.Errorf("%s: %s is still at %s", name, label, path)
				}
			}
		}
	}, v.Type().Name())
}
