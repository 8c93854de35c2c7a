package wire

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"time"
)

const tagLen = 16

// A Cookie proves that its bearer receives what is sent to an address.
type Cookie [16]byte

// A MAC makes and verifies 16-byte tags, HMAC-SHA-256 cut in half, without
// allocating. It belongs to one goroutine.
type MAC struct {
	h    hash.Hash
	long [sha256.Size]byte // here because it would escape from the stack
}

// NewMAC returns a MAC. The caller keeps key.
func NewMAC(key []byte) *MAC { return &MAC{h: hmac.New(sha256.New, key)} }

// Sum returns the tag over b.
func (m *MAC) Sum(b []byte) [tagLen]byte {
	m.h.Reset()
	m.h.Write(b)
	return [tagLen]byte(m.h.Sum(m.long[:0]))
}

// Verify reports whether tag is that over b.
func (m *MAC) Verify(b, tag []byte) bool {
	want := m.Sum(b)
	return hmac.Equal(want[:], tag)
}

// A CookieJar makes and recognizes cookies, and keeps no record of them. A cookie is
// HMAC-SHA-256(key made at the jar's start, IPv6 or IPv4-mapped address 16, port 2, epoch 8), cut
// to 16 bytes. It belongs to one goroutine.
type CookieJar struct {
	mac   *MAC
	epoch time.Duration
	input [26]byte // here because it would escape from the stack
}

// NewCookieJar returns a jar whose cookies are valid for one to two epochs, and no longer than the
// jar exists.
func NewCookieJar(epoch time.Duration) *CookieJar {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	defer clear(key)
	return &CookieJar{mac: NewMAC(key), epoch: epoch}
}

// Make returns the cookie for an address.
func (j *CookieJar) Make(now time.Duration, addr netip.AddrPort) Cookie {
	return j.of(addr, uint64(now/j.epoch))
}

// IsGood reports whether c was made for addr, in this epoch or the one before.
func (j *CookieJar) IsGood(now time.Duration, addr netip.AddrPort, c Cookie) bool {
	epoch := uint64(now / j.epoch)
	newer, older := j.of(addr, epoch), j.of(addr, epoch-1)
	return hmac.Equal(c[:], newer[:]) || hmac.Equal(c[:], older[:])
}

func (j *CookieJar) of(addr netip.AddrPort, epoch uint64) Cookie {
	ip := addr.Addr().As16()
	b := append(j.input[:0], ip[:]...)
	b = binary.BigEndian.AppendUint16(b, addr.Port())
	return j.mac.Sum(binary.BigEndian.AppendUint64(b, epoch))
}
