package node

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"reprise/backend"
)

// asJSON serves what list returns.
func asJSON[T any](list func() (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		rows, err := list()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(rows) // a client that is gone needs no answer
	}
}

// A PoolRow is a pool as GET /pools describes it.
type PoolRow struct {
	Router   string `json:"router"`
	Pool     string `json:"pool"`
	Backends int    `json:"backends"`
	Up       int    `json:"up"`
	Active   int64  `json:"active"` // connections to them now
	Queued   int64  `json:"queued"` // clients that wait for room at one
	Refused  uint64 `json:"refused"`
	Live     bool   `json:"live"` // some backend would be tried
}

func (n *Node) poolList() ([]PoolRow, error) {
	rows, now := []PoolRow{}, time.Now()
	for _, p := range n.allPools() {
		s := p.Stats()
		row := PoolRow{
			Router: p.router.String(), Pool: p.name(), Backends: len(s.Nodes), Queued: s.Queued,
			Refused: s.Refused, Live: p.Live(now),
		}
		for _, b := range s.Nodes {
			row.Active += b.Active
			row.Up += b.Up
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// A BackendRow is a backend of a pool as GET /backends describes it.
type BackendRow struct {
	Router   string `json:"router"`
	Pool     string `json:"pool"`
	Name     string `json:"name"`
	State    string `json:"state"` // up, backup, grace, draining or down
	Weight   int    `json:"weight"`
	Active   int64  `json:"active"`
	Hits     uint64 `json:"hits"`
	Failures uint64 `json:"failures"`
}

func (n *Node) backendList() ([]BackendRow, error) {
	rows := []BackendRow{}
	for _, p := range n.allPools() {
		weights := make(map[string][]int) // a pool may name a server twice
		for _, b := range p.Nodes() {
			weights[b.Name()] = append(weights[b.Name()], b.Weight())
		}
		for _, b := range p.Stats().Nodes {
			row := BackendRow{
				Router: p.router.String(), Pool: p.name(), Name: b.Name, State: b.State,
				Active: b.Active, Hits: b.Hits, Failures: b.Failures,
			}
			if w := weights[b.Name]; len(w) > 0 { // members may have changed meanwhile
				row.Weight, weights[b.Name] = w[0], w[1:]
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// A PeerRow is another node, or an address where one is configured, as GET /peers describes it.
type PeerRow struct {
	Name    string  `json:"name"`
	ID      string  `json:"id"` // empty before it has introduced itself
	Address string  `json:"address"`
	State   string  `json:"state"`
	Alive   bool    `json:"alive"`
	RTT     float64 `json:"rtt_seconds"`
	Lag     float64 `json:"lag_p99_seconds"` // of sessions made there
	Lost    uint64  `json:"lost_batches"`
}

func (n *Node) peerList() ([]PeerRow, error) {
	rows := []PeerRow{}
	if n.poller == nil {
		return rows, nil
	}
	s := n.poller.Stats()
	for _, p := range s.Peers {
		lag := p.Lag.Snapshot()
		row := PeerRow{
			Name: p.Name, ID: p.ID, Address: p.Address, State: "lost", Alive: p.Alive == 1,
			RTT: p.RTT, Lag: lag.Quantile(0.99).Seconds(), Lost: p.Lost.Load(),
		}
		if row.Alive {
			row.State = "alive"
		}
		rows = append(rows, row)
	}
	for _, c := range s.Contacts {
		if !slices.ContainsFunc(rows, func(r PeerRow) bool { return r.Address == c.Address }) {
			rows = append(rows, PeerRow{Name: c.Name, Address: c.Address, State: c.State})
		}
	}
	slices.SortStableFunc(rows, func(a, b PeerRow) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	return rows, nil
}

// A CertificateRow is a certificate that is offered, as GET /certificates describes it.
type CertificateRow struct {
	Listener string    `json:"listener"`
	Name     string    `json:"name"` // "" is for clients that ask for no name, or an unknown one
	File     string    `json:"file"`
	NotAfter time.Time `json:"not_after"`
}

func (n *Node) certificateList() ([]CertificateRow, error) {
	rows := []CertificateRow{}
	for _, c := range n.expiry.snapshot() {
		rows = append(rows, CertificateRow{
			c.Listener, c.Name, c.File,
			time.Unix(c.NotAfter, 0).UTC(),
		})
	}
	return rows, nil
}

// backendsNamed returns the backends of a name: as it is configured, or its address alone.
func (n *Node) backendsNamed(name string) (found []*backend.Node) {
	for _, p := range n.allPools() {
		for _, b := range p.Nodes() {
			if b.Name() == name || b.Address() == name {
				found = append(found, b)
			}
		}
	}
	return found
}
