package wire

import "crypto/sha256"

// hmacSum writes HMAC-SHA-256 (RFC 2104) over the parts of a message to out, which may be key. The
// message has at most hmacLen bytes.
//
// crypto/hmac and crypto/hkdf leave the padded key, and what they derive, in memory that they
// return to the collector: expired keys were found there minutes later. This computation is on the
// stack only, and overwritten: [ScrubStack].
func hmacSum(out *[sha256.Size]byte, key []byte, message ...[]byte) {
	const (
		inner = 0x36
		outer = 0x5c
	)
	var sum [sha256.Size]byte
	if len(key) > sha256.BlockSize {
		sum = sha256.Sum256(key)
		key = sum[:]
	}
	var b [sha256.BlockSize + hmacLen]byte
	padded := b[:sha256.BlockSize]
	copy(padded, key)
	for i := range padded {
		padded[i] ^= inner
	}
	n := sha256.BlockSize
	for _, part := range message {
		if copy(b[n:], part) < len(part) {
			panic("replicate: message too long for its code") // all messages are ours
		}
		n += len(part)
	}
	sum = sha256.Sum256(b[:n])
	for i := range padded {
		padded[i] ^= inner ^ outer
	}
	copy(b[sha256.BlockSize:], sum[:])
	*out = sha256.Sum256(b[:sha256.BlockSize+len(sum)])
	clear(b[:])
	clear(sum[:])
}

// hmacLen bounds the messages of hmacSum.
const hmacLen = 64

// The numbers of HKDF's blocks (RFC 5869, Section 2.3).
var (
	block1 = []byte{1}
	block2 = []byte{2}
	block3 = []byte{3}
)

// ScrubStack overwrites what returned functions may have left on the stack of this goroutine below
// the caller's frame: keys, in the frames of hashes and ciphers, which otherwise stay until as much
// of the stack is used again. Called before such functions too, it makes the stack large enough not
// to move while they run, which would leave a copy behind.
//
//go:noinline
func ScrubStack() {
	var b [16 << 10]byte
	scrub(&b)
}

//go:noinline
func scrub(b *[16 << 10]byte) { clear(b[:]) }
