package standard

import (
	"crypto"
	"io"
	"sync/atomic"

	"reprise/tlsconn"
)

// An offloaded key signs on a key worker while its handshake is parked, because an RSA signature (1
// to 3 ms) would hold up every other flow of the loop. It belongs to one server.
type offloaded struct {
	crypto.Signer
	server *Server
}

type signature struct {
	bytes []byte
	err   error
}

// Sign implements crypto.Signer for the handshake being driven.
func (o *offloaded) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c := o.server.current
	waker := c.waker
	var answer atomic.Pointer[signature]
	var abandoned atomic.Bool
	submitted := o.server.config.Workers.TrySubmit(func() {
		b, err := o.Signer.Sign(rand, digest, opts)
		answer.Store(&signature{b, err})
		waker.Wake()
	}, &abandoned)
	if !submitted {
		// The queue is bounded by the handshakes in flight, so this is a misconfiguration; a late
		// answer is better than none.
		o.server.counts.SignedOnLoop.Inc()
		return o.Signer.Sign(rand, digest, opts)
	}
	for answer.Load() == nil {
		if err := c.park(tlsconn.AwaitSignature); err != nil {
			abandoned.Store(true)
			return nil, err
		}
	}
	s := answer.Load()
	return s.bytes, s.err
}
