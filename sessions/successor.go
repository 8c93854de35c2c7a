package sessions

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"reprise/cache"
	"reprise/tlsconn"
)

// A memory can be handed to the process that succeeds this one. Each session then belongs to one of
// the two: [Memory.Freeze] stops this memory from giving sessions to handshakes, and
// [Memory.Export] writes its contents except for the sessions reserved by handshakes of this
// process. The successor gets tombstones for those, so that only this process can spend them. What
// the handshakes still under way here save and spend goes to an [Heir].

// An Heir receives the results of this process's last handshakes. Its methods are called on loops
// and must not block; value must be copied.
type Heir interface {
	Made(key [16]byte, value []byte, age, left time.Duration)
	Deleted(key [16]byte, left time.Duration)
	Release(key [16]byte, arbiter tlsconn.NodeID, hold uint64)
}

// Freeze makes h the memory's heir: handshakes no longer find sessions here. Once it returns,
// single-use sessions are no longer found either.
func (m *Memory) Freeze(h Heir) {
	m.holdMu.Lock() // see findHeld
	defer m.holdMu.Unlock()
	m.heir.Store(&h)
}

// Thaw undoes Freeze: the heir has not taken over.
func (m *Memory) Thaw() { m.heir.Store(nil) }

// frozen returns the heir, nil if there is none.
func (m *Memory) frozen() Heir {
	if h := m.heir.Load(); h != nil {
		return *h
	}
	return nil
}

// The sessions of a memory as its successor reads them:
//
//	offset  length  field
//	     0       1  version, 1
//	     1      36  the machine's boot id
//	    37       8  time since boot in ns
//	    45       8  wall clock in ns
//	    53       4  length of the rules
//	    57       n  rules, as stores have them
//	 then, again and again:
//	             1  kind: 0 session, 1 tombstone
//	             1  source
//	            16  key
//	             8  age in ns, 0 of a tombstone
//	             8  what is left in ns
//	             4  length of the value
//	             n  value
//
// All integers are big endian.
const (
	exportVersion = 1
	bootLen       = 36
	exportHeadLen = 57
	exportedLen   = 38
)

// Export writes the contents of the memory, which must be frozen.
func (m *Memory) Export(w io.Writer) error {
	// In this order a rule is never taken for older than it is, nor a session for younger.
	rules, _ := m.AppendRules(nil)
	head := append([]byte{exportVersion}, bootID()...)
	head = binary.BigEndian.AppendUint64(head, uint64(sinceBoot()))
	head = binary.BigEndian.AppendUint64(head, uint64(wallClock()))
	head = binary.BigEndian.AppendUint32(head, uint32(len(rules)))
	now := m.clock.now()
	buffered := bufio.NewWriterSize(w, 1<<16)
	defer func() { // its buffer has held sessions
		room := buffered.AvailableBuffer()
		clear(room[:cap(room)])
	}()
	_, _ = buffered.Write(head) // an error stays until Flush
	_, _ = buffered.Write(rules)
	var fields [exportedLen]byte
	m.cache.Each(now, func(kind cache.Kind, key, value []byte, e cache.Entry) {
		if len(key) != 16 {
			return
		}
		born, expires := now, min(e.Expires, now+int64(longestLife))
		if kind == cache.Live {
			var v tlsconn.Verdict
			if born, expires, v = m.admit(value, e.Born, e.Expires, now); v != tlsconn.Found {
				return
			}
		} else {
			kind, value = cache.Tombstone, nil
		}
		fields[0] = 0
		if kind == cache.Tombstone {
			fields[0] = 1
		}
		fields[1] = e.Tag
		copy(fields[2:], key)
		binary.BigEndian.PutUint64(fields[18:], uint64(now-born))
		binary.BigEndian.PutUint64(fields[26:], uint64(expires-now))
		binary.BigEndian.PutUint32(fields[34:], uint32(len(value)))
		_, _ = buffered.Write(fields[:])
		_, _ = buffered.Write(value)
	})
	return buffered.Flush()
}

var errNotExported = errors.New("sessions: not a predecessor's export")

// exported is one session of an export.
type exported struct {
	tombstone bool
	source    tlsconn.Source
	key       [16]byte
	age, left time.Duration
	value     []byte
}

// Import takes over a predecessor's export on this machine, through the gate, and returns the
// number of sessions. It is called before anything is served.
func (m *Memory) Import(b []byte) (n int, err error) {
	if len(b) < exportHeadLen || b[0] != exportVersion {
		return 0, errNotExported
	}
	if string(b[1:1+bootLen]) != string(bootID()) {
		return 0, errors.New("sessions: exported before the machine was started")
	}
	boot := sinceBoot() - time.Duration(binary.BigEndian.Uint64(b[1+bootLen:]))
	wall := wallClock() - time.Duration(binary.BigEndian.Uint64(b[9+bootLen:]))
	rulesLen := int(binary.BigEndian.Uint32(b[17+bootLen:]))
	b = b[exportHeadLen:]
	if boot < 0 || rulesLen < 0 || rulesLen > len(b) {
		return 0, errNotExported
	}
	if rulesLen > 0 {
		if _, ok := parseRules(b[:rulesLen]); !ok {
			return 0, errNotExported
		}
		m.MergeRules(b[:rulesLen], max(min(boot, wall), 0))
	}
	list, err := parseExported(b[rulesLen:])
	if err != nil {
		return 0, err
	}
	// The cache needs them in order of arrival.
	slices.SortFunc(list, func(a, b exported) int { return cmp.Compare(b.age, a.age) })
	now, passed := m.clock.now(), max(boot, wall)
	for i := range list {
		switch e := &list[i]; {
		case e.tombstone:
			m.cache.Delete(e.key[:], now, now+int64(max(e.left-boot, 0)))
		default:
			if _, _, v := m.keep(e.key, e.value, e.age+passed, e.left-passed, e.source,
				now); v == tlsconn.Found {
				n++
			}
		}
	}
	return n, nil
}

func parseExported(b []byte) (list []exported, err error) {
	for len(b) > 0 {
		if len(b) < exportedLen || b[0] > 1 {
			return nil, errNotExported
		}
		e := exported{
			tombstone: b[0] == 1, source: tlsconn.Source(b[1]), key: [16]byte(b[2:]),
			age:  time.Duration(binary.BigEndian.Uint64(b[18:])),
			left: time.Duration(binary.BigEndian.Uint64(b[26:])),
		}
		n := int(binary.BigEndian.Uint32(b[34:]))
		if b = b[exportedLen:]; e.age < 0 || e.left < 0 || n < 0 || n > len(b) {
			return nil, errNotExported
		}
		e.value, b = b[:n:n], b[n:]
		list = append(list, e)
	}
	return list, nil
}

// SaveFor is Save for a handshake of the predecessor.
func (m *Memory) SaveFor(key [16]byte, value []byte, age, left time.Duration) {
	now := m.clock.now()
	born, expires, v := m.keep(key, value, age, left, tlsconn.SourceLocal, now)
	if v == tlsconn.Found && m.fleet != nil {
		m.fleet.Made(key, value, time.Duration(now-born), time.Duration(expires-now))
	}
}

// SpendFor records a session that a handshake of the predecessor has spent.
func (m *Memory) SpendFor(key [16]byte, left time.Duration) {
	m.Delete(key, left)
	if m.fleet != nil {
		m.fleet.Deleted(key, left)
	}
}

// GiveBackFor releases a hold that an arbiter gave to the predecessor.
func (m *Memory) GiveBackFor(key [16]byte, arbiter tlsconn.NodeID, hold uint64) {
	if m.fleet != nil {
		m.fleet.Release(key, arbiter, hold)
	}
}

// sinceBoot is a clock that all processes of a machine share.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// bootID identifies one boot of the machine.
func bootID() []byte {
	id := make([]byte, bootLen)
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		copy(id, strings.TrimSpace(string(b)))
	}
	return id
}
