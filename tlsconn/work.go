package tlsconn

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"sync/atomic"

	"reprise/tlsconn/primitive"
)

// A job is slow work that a key worker does for a parked handshake. The results belong to the
// worker until done is set.
type job struct {
	abandoned atomic.Bool // set by the loop: the client has gone
	done      atomic.Bool // set by the worker: the results are there

	signature []byte
	err       error
	cert      *x509.Certificate
	why       cause
}

// submit parks the handshake in state until a worker has done work. It returns false if there is no
// worker for it.
func (c *conn) submit(state State, work func(*job)) bool {
	workers := c.server.config.Workers
	if workers == nil {
		return false
	}
	j, waker := new(job), c.waker
	if !workers.TrySubmit(func() {
		work(j)
		j.done.Store(true)
		waker.Wake()
	}, &j.abandoned) {
		return false
	}
	c.hs.job = j
	c.state = state
	return true
}

// SignsSlowly reports whether a signature by key takes too long for a loop: with an RSA key, unless
// its method Fast reports otherwise.
func SignsSlowly(key crypto.Signer) bool {
	_, isRSA := key.Public().(*rsa.PublicKey)
	f, says := key.(interface{ Fast() bool })
	return isRSA && !(says && f.Fast())
}

// sign makes the handshake's signature of message, which may come in parts, and continues. An RSA
// signature takes a millisecond, which is too long for a loop: a worker makes it while the
// handshake is parked.
func (c *conn) sign(message ...[]byte) cause {
	s, hs := c.server, c.hs
	key := hs.identity.key
	digest, opts := primitive.Digest(hs.scheme, s.digest[:0], message...)
	if hs.identity.slow && s.config.Workers != nil {
		digest = slices.Clone(digest)
		if c.submit(AwaitSignature, func(j *job) {
			j.signature,
				j.err = key.Sign(rand.Reader, digest, opts)
		}) {
			c.flush() // the client may read it meanwhile
			return ok
		}
		// The queue has room for all handshakes in flight, so this is a mistake in the
		// configuration: a late answer is better than none.
		s.counts.SignedOnLoop.Inc()
	}
	signature, err := key.Sign(rand.Reader, digest, opts)
	return c.useSignature(signature, err)
}

// signed continues with a signature that a worker has made.
func (c *conn) signed() cause {
	j := c.hs.job
	c.hs.job = nil
	return c.useSignature(j.signature, j.err)
}

func (c *conn) useSignature(signature []byte, err error) cause {
	switch {
	case err != nil:
		return causeSigning
	case c.info.Version == version13:
		return c.signed13(signature)
	default:
		return c.signed12(signature)
	}
}
