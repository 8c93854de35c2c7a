package sessions

import (
	"encoding/binary"
	"math"
	"time"
)

// Rules in a store:
//
//	offset  length  field
//	     0       1  version, 1
//	     1    33 n  rules: id 16, scope 1, hash 8, age in ms 4, left in ms 4
//
// All integers are big endian. Age is rounded down and the rest of the life up: both forget rather
// too much.
const (
	rulesVersion = 1
	ruleLen      = 33
)

func appendRules(b []byte, rules []Rule) []byte {
	b = append(b, rulesVersion)
	for _, r := range rules {
		b = append(b, r.ID[:]...)
		b = append(b, byte(r.What))
		b = binary.BigEndian.AppendUint64(b, r.Hash)
		b = appendMillis(b, r.Age)
		b = appendMillis(b, r.Left+time.Millisecond-1)
	}
	return b
}

// parseRules returns false, and no rules, for a malformed list.
func parseRules(b []byte) (rules []Rule, ok bool) {
	if len(b) < 1 || b[0] != rulesVersion || (len(b)-1)%ruleLen != 0 ||
		(len(b)-1)/ruleLen > maxRules {
		return nil, false
	}
	for b = b[1:]; len(b) > 0; b = b[ruleLen:] {
		rules = append(rules, Rule{
			ID: RuleID(b), What: Scope(b[16]), Hash: binary.BigEndian.Uint64(b[17:]),
			Age: parseMillis(b[25:]), Left: parseMillis(b[29:]),
		})
	}
	return rules, true
}

func appendMillis(b []byte, d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(min(max(d/time.Millisecond, 0), math.MaxUint32)))
}

func parseMillis(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Millisecond
}

// AppendRules appends the rules to pass on in the form in which stores keep them, or nothing if
// there are none, and returns how long they must be kept.
func (m *Memory) AppendRules(b []byte) (_ []byte, left time.Duration) {
	rules := m.Rules(nil)
	if len(rules) == 0 {
		return b, 0
	}
	for i := range rules {
		left = max(left, rules[i].Left)
	}
	return appendRules(b, rules), left
}

// MergeRules takes a store's rules, written elapsed ago, and reports whether the store lacks rules
// of this node. elapsed must not exceed the truth: an older rule would forget less.
func (m *Memory) MergeRules(stored []byte, elapsed time.Duration) (lacks bool) {
	rules, _ := parseRules(stored)
	has := make(map[RuleID]bool, len(rules))
	for _, r := range rules {
		has[r.ID] = true
		r.Age, r.Left = r.Age+elapsed, r.Left-elapsed
		m.AddRule(r, nil)
	}
	for _, r := range m.Rules(nil) {
		lacks = lacks || !has[r.ID]
	}
	return lacks
}
