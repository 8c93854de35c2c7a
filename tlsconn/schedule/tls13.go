package schedule

import "reprise/tlsconn/primitive"

var zeros [primitive.MaxHashLen]byte

// Values that depend on no secret: the hash of the empty string, and, for handshakes without a PSK,
// the early secret and the salt derived from it.
var constants [2]struct{ empty, early, derived [primitive.MaxHashLen]byte }

func init() {
	var s Scratch
	for _, h := range []primitive.Hash{primitive.SHA256, primitive.SHA384} {
		c, n := &constants[h], h.Len()
		hash(h, c.empty[:n], nil)
		s.Extract(h, c.early[:n], nil, zeros[:n])
		s.ExpandLabel(h, c.derived[:n], c.early[:n], "derived", c.empty[:n])
	}
}

// A Schedule is the key schedule of TLS 1.3 (RFC 8446, Section 7.1), one secret at
// a time: the early secret after Start, then by Next the handshake secret and the
// master secret.
type Schedule struct {
	Hash   primitive.Hash
	noPSK  bool // the secret is the early one and a constant
	secret [primitive.MaxHashLen]byte
}

// Start makes the early secret of a PSK of h.Len() bytes; nil if there is none.
func (k *Schedule) Start(s *Scratch, h primitive.Hash, psk []byte) {
	k.Hash, k.noPSK = h, psk == nil
	if k.noPSK {
		k.secret = constants[h].early
		return
	}
	s.Extract(h, k.secret[:h.Len()], nil, psk)
}

// Next derives the next secret from input keying material; nil if there is none.
func (k *Schedule) Next(s *Scratch, ikm []byte) {
	n := k.Hash.Len()
	if k.noPSK {
		k.noPSK = false
		k.secret = constants[k.Hash].derived
	} else {
		k.Derive(s, k.secret[:n], "derived", nil)
	}
	if ikm == nil {
		ikm = zeros[:n]
	}
	s.Extract(k.Hash, k.secret[:n], k.secret[:n], ikm)
}

// Derive is Derive-Secret: it fills dst, of k.Hash.Len() bytes, with the secret of a label and the
// transcript's hash; nil is the hash of the empty string.
func (k *Schedule) Derive(s *Scratch, dst []byte, label string, transcript []byte) {
	n := k.Hash.Len()
	if transcript == nil {
		transcript = constants[k.Hash].empty[:n]
	}
	s.ExpandLabel(k.Hash, dst, k.secret[:n], label, transcript)
}

// Clear wipes the secret.
func (k *Schedule) Clear() { *k = Schedule{} }

// Binder fills dst, of h.Len() bytes, with the binder of a resumed session, with whose PSK early
// was started; transcript is the hash of the hello up to its binders (RFC 8446, Section 4.2.11.2).
func (s *Scratch) Binder(h primitive.Hash, dst []byte, early *Schedule, transcript []byte) {
	early.Derive(s, dst, "res binder", nil)
	s.Finished(h, dst, dst, transcript)
}

// Exporter13 fills dst with keying material for use outside TLS, from the exporter's master secret
// (RFC 8446, Section 7.5).
func (s *Scratch) Exporter13(h primitive.Hash, dst, master []byte, label string, context []byte) {
	var secret, sum [primitive.MaxHashLen]byte
	n := h.Len()
	s.ExpandLabel(h, secret[:n], master, label, constants[h].empty[:n])
	hash(h, sum[:n], context)
	s.ExpandLabel(h, dst, secret[:n], "exporter", sum[:n])
	clear(secret[:])
}

// Finished fills dst, of h.Len() bytes, with the verify_data of a Finished: base is the handshake
// traffic secret of its sender (RFC 8446, Section 4.4.4).
func (s *Scratch) Finished(h primitive.Hash, dst, base, transcript []byte) {
	s.ExpandLabel(h, dst, base, "finished", nil)
	s.HMAC(h, dst, dst, transcript)
}

// TrafficKeys fills key and iv with those of a traffic secret (RFC 8446, Section 7.3).
func (s *Scratch) TrafficKeys(h primitive.Hash, secret, key, iv []byte) {
	s.ExpandLabel(h, key, secret, "key", nil)
	s.ExpandLabel(h, iv, secret, "iv", nil)
}

// NextTraffic replaces a traffic secret by the next one (RFC 8446, Section 7.2).
func (s *Scratch) NextTraffic(h primitive.Hash, secret []byte) {
	s.ExpandLabel(h, secret, secret, "traffic upd", nil)
}

// Resumption fills dst, of h.Len() bytes, with the PSK of the ticket of a nonce
// (RFC 8446, Section 4.6.1).
func (s *Scratch) Resumption(h primitive.Hash, dst, resumptionMaster, nonce []byte) {
	s.ExpandLabel(h, dst, resumptionMaster, "resumption", nonce)
}
