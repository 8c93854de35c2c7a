package tlsconn_test

import (
	"crypto/tls"
	"sync/atomic"
	"testing"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// syncWorkers keeps work for the test to do.
type keptWorkers struct{ work []func() }

func (w *keptWorkers) TrySubmit(f func(), _ *atomic.Bool) bool {
	w.work = append(w.work, f)
	return true
}

// refragment cuts the first record of b into records of n bytes.
func refragment(b []byte, n int) (all []byte) {
	size := int(b[3])<<8 | int(b[4])
	body, rest := b[5:5+size], b[5+size:]
	for len(body) > 0 {
		k := min(n, len(body))
		all = append(all, b[0], b[1], b[2], byte(k>>8), byte(k))
		all = append(all, body[:k]...)
		body = body[k:]
	}
	return append(all, rest...)
}

// A ClientHello that came in pieces and parked its handshake is over when that goes
// on: it is not the beginning of the next message.
func TestFragmentedHelloThatParks(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		w := &keptWorkers{}
		s := handmadeServer(t, nil, func(c *tlsconn.Config) {
			c.Sessions, c.Workers = nil, w
			pair, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}, Key: testpki.RSA})
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates, _ = tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: pair.TLS}})
		})
		l := dial(s, &tls.Config{MaxVersion: version})
		done := false
		frag := &fragmentingLink{handmadeLink: l, pieces: 50, work: w}
		client := tls.Client(frag, &tls.Config{
			MaxVersion: version, ServerName: "www.example.test",
			InsecureSkipVerify: true,
		})
		err := client.Handshake()
		if err == nil {
			l.flush()
			done = l.conn.State() == tlsconn.Connected
		}
		if !done {
			t.Errorf("%x: client %v, server %v: %v", version, err, l.conn.State(), l.conn.Err())
		}
	}
}

type fragmentingLink struct {
	*handmadeLink
	pieces int
	first  bool
	work   *keptWorkers
}

func (f *fragmentingLink) Read(p []byte) (int, error) {
	if len(f.arrived) == 0 {
		in := f.sent
		f.sent = nil
		if !f.first && len(in) > 0 {
			in, f.first = refragment(in, f.pieces), true
		}
		f.feed(in)
		for len(f.work.work) > 0 {
			do := f.work.work[0]
			f.work.work = f.work.work[1:]
			do()
			f.take(f.conn.Resume(nil))
		}
	}
	return f.handmadeLink.Read(p)
}
