package node

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"reprise/tlsconn"
)

// sessionAges are the bounds of the columns of GET /sessions.
var sessionAges = [...]time.Duration{time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour}

// A SessionRow counts the sessions here that were made under a server name.
type SessionRow struct {
	// Name is the server name, *.PARENT for names below a wildcard that this node cannot
	// tell apart, since sessions hold hashes of names; "(none)" or "(other)".
	Name     string `json:"name"`
	Sessions int    `json:"sessions"`
	// Ages counts them by age: below one minute, ten minutes, an hour, six hours, and the
	// rest.
	Ages   [len(sessionAges) + 1]int `json:"ages"`
	Oldest float64                   `json:"oldest_seconds"`
}

const (
	noName    = "(none)"
	otherName = "(other)"
)

// sessionList counts all sessions, which takes about a second for a million: one at a time.
func (n *Node) sessionList() ([]SessionRow, error) {
	rows := []SessionRow{}
	if n.sessions == nil {
		return rows, nil
	}
	if !n.counting.TryLock() {
		return nil, errors.New("sessions are being counted already: ask again")
	}
	defer n.counting.Unlock()
	names, parents := n.knownNames()
	byName := make(map[string]*SessionRow)
	count := func(_ [16]byte, state []byte, age, _ time.Duration) {
		hash, parent, _, ok := tlsconn.StateHashes(state)
		name := otherName
		if known := names[hash]; ok && known != "" {
			name = known
		} else if known := parents[parent]; ok && known != "" {
			name = known
		}
		row := byName[name]
		if row == nil {
			row = &SessionRow{Name: name}
			byName[name] = row
		}
		row.Sessions++
		row.Oldest = max(row.Oldest, age.Seconds())
		column := 0
		for column < len(sessionAges) && age >= sessionAges[column] {
			column++
		}
		row.Ages[column]++
	}
	for cursor := n.sessions.Scan(0, count); cursor != 0; {
		cursor = n.sessions.Scan(cursor, count)
	}
	for _, row := range byName {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b SessionRow) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name))
	})
	return rows, nil
}

// knownNames returns the server names that sessions may have been made under, by the hashes in
// sessions.
func (n *Node) knownNames() (names, parents map[uint64]string) {
	names, parents = map[uint64]string{tlsconn.NameHash(""): noName}, make(map[uint64]string)
	add := func(name string) {
		name = strings.ToLower(name)
		if parent, wildcard := strings.CutPrefix(name, "*."); wildcard {
			parents[tlsconn.ParentHash(parent)] = name
		} else if name != "" {
			names[tlsconn.NameHash(name)] = name
		}
	}
	for _, name := range n.expiry.dnsNames() {
		add(name)
	}
	for _, c := range n.expiry.snapshot() {
		add(c.Name)
	}
	return names, parents
}
