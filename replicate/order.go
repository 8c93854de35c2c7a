package replicate

import (
	"bytes"
	"cmp"
	"slices"
)

// keysOf returns m's keys in order. Walks that send, report or decide use it, so that a node with
// the same input behaves the same and a simulation's findings can be reproduced.
func keysOf[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return appendKeys(nil, m, compare)
}

func appendKeys[K comparable, V any](keys []K, m map[K]V, compare func(a, b K) int) []K {
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compare)
	return keys
}

func comparePeers(a, b *peer) int   { return bytes.Compare(a.id[:], b.id[:]) }
func compareIDs(a, b ID) int        { return bytes.Compare(a[:], b[:]) }
func compareShort(a, b ShortID) int { return bytes.Compare(a[:], b[:]) }
func compareRules(a, b RuleID) int  { return bytes.Compare(a[:], b[:]) }
func compareHolds(a, b holdKey) int {
	return cmp.Or(compareShort(a.peer, b.peer), cmp.Compare(a.question, b.question))
}
