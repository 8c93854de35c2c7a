package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"reprise/tlsconn"
)

// FuzzClientAgainstStandard lets a whole client talk to each engine, with the same
// mutations of its records on the way: a handshake, a request, an answer, a goodbye.
func FuzzClientAgainstStandard(f *testing.F) {
	twins := newTwins(f)
	for config := range twins {
		for client := range twins[config].clients {
			f.Add(byte(config), byte(client), byte(255), []byte{})
			for op := range mangles {
				f.Add(byte(config), byte(client), byte(255), []byte{op, 1, 2, 3})
			}
		}
	}
	f.Fuzz(func(t *testing.T, config, client, cut byte, ops []byte) {
		w := &twins[int(config)%len(twins)]
		if d := w.meet(int(client), 1+int(cut)<<3, ops); d != nil {
			t.Fatal(d)
		}
	})
}

// TestClientAgainstStandardAtRandom is the same without the fuzzer.
func TestClientAgainstStandardAtRandom(t *testing.T) {
	twins := newTwins(t)
	n, r := mutations(t, 500)
	differ := map[string]int{}
	for range n {
		ops := make([]byte, 4*(1+r.IntN(3)))
		for i := range ops {
			ops[i] = byte(r.Uint32())
			if i%4 == 1 {
				ops[i] %= 12
			}
		}
		cut := 1 << 14
		if r.IntN(8) == 0 {
			cut = 1 + r.IntN(64)
		}
		d := twins[r.IntN(len(twins))].meet(r.IntN(64), cut, ops)
		if d == nil {
			continue
		}
		kind := fmt.Sprintf("own %v %d %q, standard %v %d %q", d.own.state, d.own.alert, d.own.why, d.standard.state, d.standard.alert,
			d.standard.why)
		if differ[kind]++; differ[kind] == 1 {
			t.Errorf("%v", d)
		}
	}
	for kind, n := range differ {
		t.Logf("%6d times: %s", n, kind)
	}
}

// A meeting is what became of a client and a server.
type meeting struct {
	state   tlsconn.State
	info    string
	read    int    // bytes of plaintext that the server had
	outcome string // what the client thinks of it
	alert   int    // that the client got, -1 for none
	why     string // the server's words, not compared
}

func (m meeting) String() string {
	return fmt.Sprintf("{%v, %s, %d bytes read, client: %s, alert %d: %s}", m.state, m.info, m.read, m.outcome, m.alert, m.why)
}

// settled is the result of the negotiation, once there is one.
func (m meeting) settled() string {
	if m.state == tlsconn.Failed && m.read == 0 {
		return ""
	}
	return m.info
}

// A meetingDifference is what two servers made of one client.
type meetingDifference struct {
	own, standard meeting
	client        *tls.Config
	ops           []byte
	wire          []byte
}

func (d *meetingDifference) String() string {
	var ops strings.Builder
	for list := d.ops; len(list) >= 4; list = list[4:] {
		fmt.Fprintf(&ops, "%s of record %d, %d, %d; ", mangleNames[list[0]%mangles], list[1]%12, list[2], list[3])
	}
	return fmt.Sprintf("\nown      %v\nstandard %v\nops      %s\nclient   up to %04x, wire of ours %.2000x", d.own, d.standard, &ops, d.client.MaxVersion, d.wire)
}

// meet lets a client meet both servers; nil if it makes no difference.
func (w *twin) meet(client, cut int, ops []byte) *meetingDifference {
	config := w.clients[client%len(w.clients)]
	own, wire := meet(w.own, config, cut, ops)
	other, _ := meet(w.standard, config, cut, ops)
	d := &meetingDifference{own, other, config, ops, wire}
	own.why, other.why, own.info, other.info = "", "", own.settled(), other.settled()
	if own == other || d.allowed() != "" {
		return nil
	}
	return d
}

func meet(s tlsconn.Server, client *tls.Config, cut int, ops []byte) (m meeting, wire []byte) {
	l := &link{conn: s.NewConn(make(waker, 1)), cut: func(int) int { return cut }}
	defer l.conn.Abort()
	mangled := &mangler{link: l, ops: ops}
	client = client.Clone()
	if known, ok := client.ClientSessionCache.(*firstSession); ok {
		client.ClientSessionCache = &firstSession{known.session}
	} else {
		client.ClientSessionCache = nil
	}
	c := tls.Client(mangled, client)
	m.alert = -1
	err := c.Handshake()
	if err == nil {
		m.outcome = "handshake done"
		_, _ = c.Write([]byte("request"))
		_, _ = c.Write(make([]byte, 20_000))
		l.drive()
		if l.conn.State() == tlsconn.Connected {
			l.toClient = l.conn.Write(l.toClient, []byte("answer"))
			_, _ = c.Write([]byte("more"))
			_ = c.CloseWrite()
		}
		mangled.flush()
		l.drive()
		if l.conn.State() == tlsconn.PeerClosed {
			l.toClient = l.conn.CloseNotify(l.toClient)
		}
		var answer []byte
		answer, err = io.ReadAll(c)
		m.outcome += fmt.Sprintf(", read %q", answer)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		m.alert = alertNumbers[op.Err.Error()]
	}
	mangled.flush()
	l.eof = true
	l.drive()
	m.state, m.read = l.conn.State(), len(l.plaintext)
	info := l.conn.Info()
	m.info = fmt.Sprintf("%04x %04x %04x %q %q %v", info.Version, info.CipherSuite, info.Group, info.ServerName, info.ALPN,
		info.Outcome)
	if err := l.conn.Err(); err != nil {
		m.why = err.Error()
	}
	return m, mangled.sent
}

// alertNumbers are the alerts by their texts.
var alertNumbers = func() map[string]int {
	numbers := map[string]int{}
	for n := range 256 {
		numbers[tls.AlertError(n).Error()] = n
	}
	return numbers
}()

// A mangler changes a client's records on their way.
type mangler struct {
	*link
	ops  []byte // each of 4 bytes: what, which record, how
	part []byte
	held []byte // a record that comes after the next
	n    int    // records so far
	sent []byte
}

// The mutations of records.
const (
	mangleFlip byte = iota
	mangleDrop
	mangleTwice
	mangleShorten
	mangleLength
	mangleType
	mangleVersion
	mangleSplit
	mangleInsert
	mangleSwap
	mangleGrow
	mangleCCS
	mangles
)

var mangleNames = [mangles]string{"flip", "drop", "twice", "shorten", "length", "type", "version", "split", "insert", "swap", "grow", "CCS"}

// Write implements net.Conn for the client.
func (m *mangler) Write(p []byte) (int, error) {
	m.part = append(m.part, p...)
	for len(m.part) >= 5 {
		n := 5 + int(binary.BigEndian.Uint16(m.part[3:]))
		if len(m.part) < n {
			break
		}
		m.record(slices.Clone(m.part[:n]))
		m.part = m.part[n:]
	}
	return len(p), nil
}

func (m *mangler) flush() {
	m.out(m.held)
	m.held = nil
}

func (m *mangler) out(b []byte) {
	m.sent = append(m.sent, b...)
	m.toServer = append(m.toServer, b...)
}

// maxMangled bounds what becomes of a record, which a few ops could double many times.
const maxMangled = 64 << 10

// record passes a record on, changed.
func (m *mangler) record(r []byte) {
	out, swap := r, false
	for ops := m.ops; len(ops) >= 4; ops = ops[4:] {
		if int(ops[1])%12 != m.n || len(out) < 6 || len(out) > maxMangled {
			continue
		}
		y, z := int(ops[2]), ops[3]
		if op := ops[0] % mangles; op == mangleSwap {
			swap = true
			// FuzzAgainstStandard mutates ClientHellos
		} else if m.n > 0 || op >= mangleSplit && op != mangleGrow {
			out = mangle(op, out, y, z)
		}
	}
	m.n++
	if swap {
		m.held = append(m.held, out...)
		return
	}
	m.out(out)
	m.flush()
}

// mangle changes bytes that begin with a record.
func mangle(op byte, r []byte, y int, z byte) []byte {
	n := len(r) - 5
	length := func(r []byte) []byte {
		binary.BigEndian.PutUint16(r[3:], uint16(len(r)-5))
		return r
	}
	switch op {
	case mangleFlip:
		r[5+y%n] ^= z | 1
	case mangleDrop:
		return nil
	case mangleTwice:
		return append(r, bytes.Clone(r)...)
	case mangleShorten:
		return length(r[:5+n-min(n, 1+y%20)])
	case mangleLength:
		r[4] += z
	case mangleType:
		r[0] = []byte{20, 21, 22, 23, 24, 0, 99}[y%7]
	case mangleVersion:
		r[1+y%2] = z % 6
	case mangleSplit:
		at := 5 + y%n
		second := append([]byte{r[0], r[1], r[2], 0, 0}, r[at:]...)
		return append(length(r[:at:at]), length(second)...)
	case mangleInsert:
		return append(bytes.Clone(someBetween[y%len(someBetween)]), r...)
	case mangleGrow:
		return length(append(r, bytes.Repeat([]byte{z}, 1+y)...))
	case mangleCCS:
		return append(bytes.Repeat([]byte{20, 3, 3, 0, 1, 1}, 1+y%40), r...)
	}
	return r
}

// someBetween is what may come between a client's records.
var someBetween = append([][]byte{
	{20, 3, 3, 0, 1, 2},
	{20, 3, 3, 0, 2, 1, 1},
	{20, 3, 3, 0, 0},
	{21, 3, 3, 0, 2, 1, 90},
	{21, 3, 3, 0, 2, 1, 100},
	{21, 3, 3, 0, 1, 1},
	{21, 3, 3, 0, 2, 3, 40},
	{23, 3, 3, 0, 0},
	{22, 3, 3, 0, 4, 0, 0, 0, 0},
	{22, 3, 3, 0, 5, 24, 0, 0, 1, 0},
	{22, 3, 3, 0x50, 0},
	{23, 3, 3, 0x41, 1},
}, someBehind...)
