package replicate

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"reflect"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"reprise/replicate/wire"
)

// requireAges fails if a node has a session that lives longer than its birth, which is
// now at the latest, and a lifetime allow.
func (s *sim) requireAges(born map[Key]time.Duration, life time.Duration) {
	s.t.Helper()
	for i, n := range s.nodes {
		if n.down {
			continue
		}
		for key, m := range n.memory.sessions {
			if got := m.expires - n.skew - born[key]; got > life {
				s.t.Fatalf("node %d keeps a session until %v after its birth, its life is %v", i, got, life)
			}
			if got := m.born - n.skew - born[key]; got > 0 {
				s.t.Fatalf("node %d takes a session for %v younger than it is", i, got)
			}
		}
	}
}

// C1: batches that are repeated for a node that joins or was deaf, and snapshots, carry
// the ages of the moment: what has expired does not come, and nothing lives longer for
// having been sent again.
func TestResentSessionsAreNoYounger(t *testing.T) {
	const life = 4 * time.Second
	s := newSim(t, 2)
	s.runUntil(5*time.Second, s.introduced)
	a, b := s.nodes[0], s.nodes[1]
	born := make(map[Key]time.Duration)
	made := 0
	make := func(n int) {
		for range n {
			born[simKey(made)] = s.now
			s.nodes[made%2].publishFor(life, simKey(made), "session")
			made++
			s.run(10 * time.Millisecond)
		}
	}
	make(100)
	s.cut = func(from, to *simNode) bool { return to == b }
	make(100)
	s.run(time.Second)
	s.cut = nil
	s.run(1500 * time.Millisecond)
	s.requireAges(born, life)
	if b.peers[a.o.ID].counts.Repaired.Load() == 0 {
		t.Fatal("nothing was repaired")
	}
	joined := s.add(nil)
	s.run(500 * time.Millisecond)
	s.requireAges(born, life)
	if len(joined.memory.sessions) == 0 {
		t.Fatal("nothing was joined")
	}

	s.run(9 * time.Second) // all have expired
	for range 3 {
		late := s.add(nil)
		s.run(time.Second)
		if got := len(late.memory.sessions); got != 0 {
			t.Errorf("a node that started after all had expired has %d sessions", got)
		}
		late.down = true
	}
}

// C1: what was forgotten does not come back with nodes that join, however they do.
func TestForgottenSessionsDoNotComeBack(t *testing.T) {
	s := newSim(t, 2)
	s.runUntil(5*time.Second, s.introduced)
	for i := range 300 {
		s.nodes[i%2].publish(simKey(i), "session")
	}
	s.run(time.Second)
	var result *Forgetting
	s.nodes[0].Forget(s.nodes[0].clock(), ForgetAll, 0, func(f Forgetting) { result = &f })
	s.nodes[0].tick()
	s.run(time.Second)
	if result == nil || len(result.Silent) > 0 {
		t.Fatalf("result %+v", result)
	}
	for range 3 {
		s.add(nil)
		s.run(time.Second)
		for i, n := range s.nodes {
			if got := len(n.memory.sessions); got != 0 {
				t.Errorf("node %d has %d forgotten sessions", i, got)
			}
		}
	}
}

// H1 and the ratchet: all datagrams of some minutes are recorded; then the cluster
// secret and everything in the memory of all nodes become known. Only datagrams of the
// time for which two keys are used can be opened by it.
func TestRecordingsStayClosed(t *testing.T) {
	s := newSim(t, 3)
	type recording struct {
		at       time.Duration
		datagram []byte
	}
	var recorded []recording
	s.tap = func(d []byte) {
		if d[1] == byte(wire.KindSealed) {
			recorded = append(recorded, recording{s.now, bytes.Clone(d)})
		}
	}
	for i := range 24 {
		s.nodes[i%3].publish(simKey(i), "session")
		s.run(10 * time.Second)
		if i == 12 {
			s.nodes[2] = s.restart(s.nodes[2])
		}
	}
	keys := make(map[[32]byte]bool)
	for _, n := range s.nodes {
		if n.down {
			n.wipe() // it has ended
		}
		collectKeys(reflect.ValueOf(n.Node), keys, make(map[uintptr]bool))
		for name, buf := range map[string][]byte{"plain": n.plain, "msgs": n.msgs, "value": n.value} {
			if !isZero(buf[:cap(buf)]) {
				t.Errorf("something is left in the buffer %q", name)
			}
		}
	}
	attack := openers(keys)
	opened, youngest, oldest := 0, 0, time.Duration(1<<62)
	for _, r := range recorded {
		if attack.opens(r.datagram) {
			opened++
			oldest = min(oldest, r.at)
		} else {
			youngest++
		}
	}
	t.Logf("%d keys found in memory open %d of %d recordings, the oldest of %v ago", len(keys), opened, len(recorded), s.now-oldest)
	if opened == 0 {
		t.Fatal("the attack opens nothing: it proves nothing")
	}
	if s.now-oldest > 2*wire.RatchetEvery {
		t.Errorf("a recording of %v ago was opened", s.now-oldest)
	}
}

// collectKeys finds everything of a key's length that v leads to.
func collectKeys(v reflect.Value, keys map[[32]byte]bool, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return
		}
		seen[v.Pointer()] = true
		collectKeys(v.Elem(), keys, seen)
	case reflect.Interface:
		if !v.IsNil() {
			collectKeys(v.Elem(), keys, seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			collectKeys(v.Field(i), keys, seen)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			collectKeys(it.Key(), keys, seen)
			collectKeys(it.Value(), keys, seen)
		}
	case reflect.Array, reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if v.Len() == 32 {
				var key [32]byte
				for i := range key {
					key[i] = byte(v.Index(i).Uint())
				}
				if !isZero(key[:]) {
					keys[key] = true
				}
			}
			return
		}
		for i := range v.Len() {
			collectKeys(v.Index(i), keys, seen)
		}
	}
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// attackers are the keys that can be derived.
type attackers [][]byte

// openers takes each value for a key, and for the state of a ratchet, which leads to
// the ones to come.
func openers(keys map[[32]byte]bool) (list attackers) {
	for key := range keys {
		list = append(list, bytes.Clone(key[:]))
		chain := bytes.Clone(key[:])
		for range 4 {
			sealing, _ := hkdf.Expand(sha256.New, chain, "reprise seal v2", 32)
			list = append(list, sealing)
			chain, _ = hkdf.Expand(sha256.New, chain, "reprise ratchet v2", 32)
		}
	}
	return list
}

func (a attackers) opens(datagram []byte) bool {
	nonce := append(bytes.Clone(datagram[24:40]), datagram[8:16]...)
	for _, key := range a {
		aead, _ := chacha20poly1305.NewX(key)
		if _, err := aead.Open(nil, nonce, datagram[40:], datagram[:16]); err == nil {
			return true
		}
	}
	return false
}

// M7: a machine is copied while it runs, and both copies go on. No two datagrams are
// sealed with one nonce, and what both say under one number is taken once.
func TestForkedNode(t *testing.T) {
	s := newSim(t, 2)
	s.runUntil(5*time.Second, s.introduced)
	a, b := s.nodes[0], s.nodes[1]
	fork := *a.sender // the same key, the same counter
	nonces := make(map[string]string)
	check := func(d []byte) {
		nonce := string(d[24:40]) + string(d[8:16])
		if other, ok := nonces[nonce]; ok && other != string(d) {
			t.Fatal("a nonce was used twice")
		}
		nonces[nonce] = string(d)
	}
	for i := range 2000 {
		plain := append(make([]byte, wire.PlainHeaderLen), wire.Batch{Seq: uint64(i + 1)}.Append(nil)...)
		one := a.sender.Seal(nil, bytes.Clone(plain), a.clock())
		two := fork.Seal(nil, bytes.Clone(plain), a.clock())
		check(one)
		check(two)
		if !bytes.Equal(one[:16], two[:16]) {
			t.Fatal("the copies do not say the same: nothing is tested")
		}
		before := b.counts.Dropped.Load(dropReason(wire.Replayed))
		b.Receive(b.clock(), a.addr, one)
		b.Receive(b.clock(), a.addr, two)
		if got := b.counts.Dropped.Load(dropReason(wire.Replayed)) - before; got != 1 {
			t.Fatalf("of two datagrams of one number %d were refused", got)
		}
	}
}

// Holding a datagram back makes no session live longer.
func TestHeldBackDatagramsMakeNothingYounger(t *testing.T) {
	for _, delay := range []time.Duration{
		100 * time.Millisecond, time.Second, 3 * time.Second,
		time.Minute,
	} {
		t.Run(fmt.Sprint(delay), func(t *testing.T) {
			s := newSim(t, 2)
			s.run(3 * time.Second)
			a, b := s.nodes[0], s.nodes[1]
			var held [][]byte
			s.cut = func(from, _ *simNode) bool { return from == a }
			s.tap = func(d []byte) { held = append(held, bytes.Clone(d)) }
			born := map[Key]time.Duration{simKey(1): s.now}
			a.publishFor(10*time.Second, simKey(1), "session")
			s.tap = nil
			s.run(delay)
			for _, d := range held {
				b.Receive(b.clock(), a.addr, d)
			}
			s.requireAges(born, 10*time.Second)
			if got := len(b.memory.sessions); delay < time.Second && got != 1 || delay > 2*time.Second &&
				got != 0 {
				t.Errorf("after %v %d sessions were taken", delay, got)
			}
		})
	}
}

// M9: what waits to be sent, or has been, keeps no session of its own.
func TestNothingOfASessionIsKept(t *testing.T) {
	s := newSim(t, 2)
	s.runUntil(5*time.Second, s.introduced)
	a := s.nodes[0]
	value := []byte("a master secret that is not to be found")
	for i := range 100 {
		a.publishFor(time.Second, simKey(i), string(value))
	}
	joined := s.add(nil)
	s.run(3 * time.Second)
	var all bytes.Buffer
	for _, n := range []*simNode{a, s.nodes[1], joined} {
		collectBytes(reflect.ValueOf(n.Node), &all, make(map[uintptr]bool))
	}
	if bytes.Contains(all.Bytes(), value[:16]) {
		t.Error("it was found")
	}
	if all.Len() < 10_000 {
		t.Errorf("only %d bytes were looked at", all.Len())
	}
}

// collectBytes appends all byte slices, to their capacity, that v leads to, but for
// the session memory's.
func collectBytes(v reflect.Value, all *bytes.Buffer, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] || v.Type() == reflect.TypeFor[*mapMemory]() {
			return
		}
		seen[v.Pointer()] = true
		collectBytes(v.Elem(), all, seen)
	case reflect.Interface:
		if !v.IsNil() && v.Elem().Type() != reflect.TypeFor[*simNode]() {
			collectBytes(v.Elem(), all, seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			collectBytes(v.Field(i), all, seen)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			collectBytes(it.Value(), all, seen)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Cap() > 0 {
			v = v.Slice(0, v.Cap())
			for i := range v.Len() {
				all.WriteByte(byte(v.Index(i).Uint()))
			}
			return
		}
		for i := range v.Len() {
			collectBytes(v.Index(i), all, seen)
		}
	case reflect.Array:
		if v.Type().Elem().Kind() != reflect.Uint8 && v.Len() < 10_000 {
			for i := range v.Len() {
				collectBytes(v.Index(i), all, seen)
			}
		}
	}
}
