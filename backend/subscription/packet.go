package subscription

import (
	"bytes"
	"encoding/binary"
	"errors"
)

const (
	// MaxLen is the largest datagram that uWSGI's own routers read.
	MaxLen = 4096

	modifier = 224
	headLen  = 4
)

// A Packet is the content of a datagram. Its slices alias the datagram.
type Packet struct {
	Leave                bool
	Key, Address         []byte
	Modifier1, Modifier2 uint64
	Weight, Backup       uint64
	HTTP                 bool // it speaks HTTP instead of the uwsgi protocol

	Unix         uint64
	Sign, Signed []byte // the signature, nil if there is none, and the bytes it covers
}

// Errors of packets.
var (
	errNotOurs   = errors.New("no subscription")
	errMalformed = errors.New("malformed subscription")
)

// Parse reads a datagram. After an error p has no meaning.
func (p *Packet) Parse(b []byte) error {
	*p = Packet{}
	switch {
	case len(b) < headLen || len(b) > MaxLen || b[0] != modifier:
		return errNotOurs
	case int(binary.LittleEndian.Uint16(b[1:])) != len(b)-headLen:
		return errMalformed
	}
	p.Leave = b[3] != 0
	var seen uint
	for rest := b[headLen:]; len(rest) > 0; {
		if p.Sign != nil {
			return errMalformed // the signature does not cover what follows it
		}
		before := len(b) - len(rest)
		key, after, ok := cutString(rest)
		if !ok {
			return errMalformed
		}
		value, after, ok := cutString(after)
		if !ok {
			return errMalformed
		}
		rest = after
		bit, err := p.set(key, value)
		if err != nil {
			return err
		}
		if seen&bit != 0 {
			return errMalformed // recipients disagree on whether the first or the last counts
		}
		seen |= bit
		if p.Sign != nil {
			p.Signed = b[headLen:before]
		}
	}
	return nil
}

// set stores a variable and returns its bit, 0 if the variable is ignored.
func (p *Packet) set(key, value []byte) (bit uint, err error) {
	number := func(to *uint64) {
		if v, ok := parseNumber(value); ok {
			*to = v
		} else {
			err = errMalformed
		}
	}
	switch string(key) {
	case "key":
		p.Key, bit = value, 1<<0
	case "address":
		p.Address, bit = value, 1<<1
	case "modifier1":
		number(&p.Modifier1)
		bit = 1 << 2
	case "modifier2":
		number(&p.Modifier2)
		bit = 1 << 3
	case "weight":
		number(&p.Weight)
		bit = 1 << 4
	case "backup":
		number(&p.Backup)
		bit = 1 << 5
	case "proto":
		p.HTTP, bit = bytes.HasPrefix(value, []byte("h")), 1<<6
	case "unix":
		number(&p.Unix)
		bit = 1 << 7
	case "sign":
		if len(value) == 0 {
			return 0, errMalformed
		}
		p.Sign, bit = value, 1<<8
	}
	return bit, err
}

// cutString cuts a string with its length prefix off the front of p.
func cutString(p []byte) (s, rest []byte, ok bool) {
	if len(p) < 2 {
		return nil, nil, false
	}
	n := int(binary.LittleEndian.Uint16(p))
	if p = p[2:]; len(p) < n {
		return nil, nil, false
	}
	return p[:n:n], p[n:], true
}

// parseNumber reads a decimal number of at most 18 digits.
func parseNumber(s []byte) (v uint64, ok bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}
