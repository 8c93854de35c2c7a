package tlsconn

import (
	"crypto/tls"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
	"reprise/tlsconn/wire"
)

const (
	// maxKeyUpdates is a client's greatest credit of key updates. Each costs a key schedule and an
	// AEAD state for 5 bytes of the client's.
	maxKeyUpdates = 32
	// keyUpdateBytes is how many bytes of data earn another one. A client that keeps to the limits
	// of RFC 8446, Section 5.5, needs far fewer.
	keyUpdateBytes = 1 << 18
)

// keyUpdates has the secrets from which the keys of a TLS 1.3 connection are renewed (RFC 8446,
// Section 7.2), and bounds how often. Data earn credit but never reset what has been used: a byte
// between two updates buys nothing.
type keyUpdates struct {
	rdSecret, wrSecret [primitive.MaxHashLen]byte
	used               uint8
	answered           bool // nothing was written since the last answer
	bytes              uint32
}

// moved counts data in either direction: a client may renew the keys by how much it receives (RFC
// 8446, Section 5.5).
func (k *keyUpdates) moved(n int) {
	if k.used == 0 {
		return
	}
	for k.bytes += uint32(n); k.bytes >= keyUpdateBytes && k.used > 0; k.used-- {
		k.bytes -= keyUpdateBytes
	}
}

func (k *keyUpdates) clear() { *k = keyUpdates{} }

// onKeyUpdate renews the key of the way in, and on request that of the way out (RFC 8446, Section
// 4.6.3).
func onKeyUpdate(c *conn, msg []byte, last bool) cause {
	requested, fault := wire.ParseKeyUpdate(msg)
	switch {
	case fault != wire.None:
		return wireCauses[fault]
	case !last:
		return causeExcessData // further bytes would be under the next key
	case c.keyUpdates.used >= maxKeyUpdates:
		return causeKeyUpdates
	}
	c.keyUpdates.used++
	suite := c.suite()
	c.server.kdf.NextTraffic(suite.Hash, c.keyUpdates.rdSecret[:suite.Hash.Len()])
	c.setKeys(&c.rd, suite, c.keyUpdates.rdSecret[:suite.Hash.Len()])
	c.server.kdf.Clear()
	// One answer suffices for all requests that came while nothing was written.
	if requested && !c.keyUpdates.answered && !c.closeSent {
		c.keyUpdates.answered = true
		c.renewWriteKey()
	}
	return ok
}

// renewWriteKey announces and takes the next key of the way out. It returns false in TLS 1.2, which
// has no such update.
func (c *conn) renewWriteKey() bool {
	if c.info.Version != tls.VersionTLS13 {
		return false
	}
	s, suite := c.server, c.suite()
	c.releaseHeld()
	s.small = wire.AppendKeyUpdate(s.small[:0], false)
	s.out = c.wr.Seal(&s.record, s.out, record.Handshake, tls.VersionTLS12, s.small)
	s.kdf.NextTraffic(suite.Hash, c.keyUpdates.wrSecret[:suite.Hash.Len()])
	c.setKeys(&c.wr, suite, c.keyUpdates.wrSecret[:suite.Hash.Len()])
	s.kdf.Clear()
	return true
}

// suite returns the negotiated suite.
func (c *conn) suite() *primitive.Suite { return primitive.SuiteByID(c.info.CipherSuite) }

// setKeys derives one way's keys from a traffic secret (RFC 8446, Section 7.3).
func (c *conn) setKeys(h *record.Half, suite *primitive.Suite, secret []byte) {
	s := c.server
	key, iv := s.key[:suite.AEAD.KeyLen()], s.iv[:]
	s.kdf.TrafficKeys(suite.Hash, secret, key, iv)
	h.Set(suite, key, iv)
	clear(s.key[:])
	clear(s.iv[:])
	s.kdf.Clear()
}
