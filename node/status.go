package node

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"strings"
	"time"

	"reprise/engine"
	"reprise/replicate/wire"
)

// A NodeStatus is the state of a node in brief: GET /fleet has one of each node, and nodes send it
// to each other as JSON. Counters are since the start of the process.
type NodeStatus struct {
	Name    string `json:"name"`
	ID      string `json:"id"` // empty without peers
	Address string `json:"address,omitempty"`
	Version string `json:"version"`
	// State is "ready", or why the node wants no traffic; "silent" for a peer that sends no status,
	// and "lost" for one that sends nothing at all.
	State  string  `json:"state"`
	At     int64   `json:"at_ms"` // by the node's clock, in milliseconds since 1970
	Uptime float64 `json:"uptime_seconds"`
	Age    float64 `json:"age_seconds"` // of all this, since it was received

	Open        int64  `json:"open"`
	Handshakes  uint64 `json:"handshakes"`
	Failed      uint64 `json:"handshakes_failed"`
	Requests    uint64 `json:"requests"`
	Resumed     Shares `json:"resumed"`
	Sessions    int    `json:"sessions"`
	MaxSessions int    `json:"max_sessions"`

	Backends   int `json:"backends"`
	BackendsUp int `json:"backends_up"`
	Peers      int `json:"peers"`
	PeersAlive int `json:"peers_alive"`

	TurnP99    float64 `json:"turn_p99_seconds"`
	CertEnds   int64   `json:"certificate_ends"` // the first, in seconds since 1970; 0 for none
	LastReload bool    `json:"last_reload_ok"`
}

// Shares are completed handshakes by the outcome for the session that the client offered.
type Shares struct {
	Local  uint64 `json:"local"`
	Pushed uint64 `json:"pushed"`
	Pulled uint64 `json:"pulled"`
	Store  uint64 `json:"store"`
	New    uint64 `json:"new"`    // none was offered
	Missed uint64 `json:"missed"` // a full handshake although one was
}

// A LoopRow is one of the loops.
type LoopRow struct {
	Loop     int     `json:"loop"`
	Open     int64   `json:"open"`
	Accepted uint64  `json:"accepted"`
	TurnP99  float64 `json:"turn_p99_seconds"`
	TurnMax  float64 `json:"turn_max_seconds"`
}

// A Status is what GET /status returns about this node.
type Status struct {
	Node         NodeStatus        `json:"node"`
	Outcomes     map[string]uint64 `json:"outcomes"`
	Pools        []PoolRow         `json:"pools"`
	Backends     []BackendRow      `json:"backends"`
	Peers        []PeerRow         `json:"peers"`
	Loops        []LoopRow         `json:"loops"`
	Certificates []CertificateRow  `json:"certificates"`
}

// statusFor is how long the status for other nodes is reused.
const statusFor = 200 * time.Millisecond

// lastStatus is the last status sent to other nodes. It belongs to the poller's goroutine.
type lastStatus struct {
	at   time.Time
	text []byte
}

// statusText is the node's status for its peers. It is reused, so that counters are not read for
// each peer.
func (n *Node) statusText() []byte {
	l := &n.told
	if now := time.Now(); l.text == nil || now.Sub(l.at) > statusFor {
		s := n.status()
		text, err := json.Marshal(s)
		// words with many characters that JSON escapes
		if err == nil && len(text) > wire.MaxStatusLen {
			s.Name, s.Version = "", ""
			text, err = json.Marshal(s)
		}
		if err != nil {
			return nil
		}
		l.at, l.text = now, text
	}
	return l.text
}

// status returns the state of this node.
func (n *Node) status() NodeStatus {
	s := n.engine.Stats()
	pools, _ := n.poolList()
	peers, _ := n.peerList()
	return n.statusOf(&s, pools, peers)
}

// maxWord bounds a word in a status.
const maxWord = 64

// statusOf is status with statistics that were read already.
func (n *Node) statusOf(s *engine.Stats, pools []PoolRow, peers []PeerRow) NodeStatus {
	now := time.Now()
	machine, _ := os.Hostname() // only for display: empty when unknown
	turn := s.Flows.Turn.Snapshot()
	st := NodeStatus{
		Name: word(cmp.Or(n.config.Name, machine)), Version: word(n.program.Version),
		State: "ready", At: now.UnixMilli(),
		Open: s.Flows.Open.Load(), Requests: s.HTTP.Requests.Load(),
		TurnP99:    turn.Quantile(0.99).Seconds(),
		LastReload: n.reloads.OK.Load() == 1, Peers: len(peers),
	}
	if served := n.served.Load(); served != 0 {
		st.Uptime = math.Round(now.Sub(time.Unix(0, served)).Seconds()*10) / 10
	}
	if n.poller != nil {
		st.ID = n.id.Short().String()
	}
	if err := n.unready(false); err != nil {
		st.State = word(err.Error())
	}
	s.TLS.Outcomes.Each(func(outcome string, count uint64) {
		st.Handshakes += count
		st.Resumed.add(outcome, count)
	})
	s.TLS.Failures.Each(func(_ string, count uint64) { st.Failed += count })
	if n.memory != nil {
		c := n.memory.Stats()
		st.Sessions, st.MaxSessions = c.Items, c.MaxItems
	}
	for _, p := range pools {
		st.Backends += p.Backends
		st.BackendsUp += p.Up
	}
	for _, p := range peers {
		if p.Alive {
			st.PeersAlive++
		}
	}
	for _, c := range n.expiry.snapshot() {
		if st.CertEnds == 0 || c.NotAfter < st.CertEnds {
			st.CertEnds = c.NotAfter
		}
	}
	return st
}

// add counts handshakes of an outcome.
func (s *Shares) add(outcome string, count uint64) {
	switch outcome {
	case "resumed_local":
		s.Local += count
	case "resumed_pushed":
		s.Pushed += count
	case "resumed_pulled":
		s.Pulled += count
	case "resumed_store":
		s.Store += count
	case "new_client":
		s.New += count
	default:
		s.Missed += count
	}
}

// word cuts a text to the length that a status allows.
func word(text string) string {
	if len(text) > maxWord {
		text = strings.ToValidUTF8(text[:maxWord], "")
	}
	return text
}

// localStatus is what GET /status returns.
func (n *Node) localStatus() (Status, error) {
	s := n.engine.Stats()
	st := Status{Outcomes: s.TLS.Outcomes.Counts(), Loops: []LoopRow{}}
	st.Pools, _ = n.poolList()
	st.Backends, _ = n.backendList()
	st.Peers, _ = n.peerList()
	st.Certificates, _ = n.certificateList()
	st.Node = n.statusOf(&s, st.Pools, st.Peers)
	for _, l := range s.Loops {
		p99, _ := time.ParseDuration(l.TurnP99) // time.Duration wrote it
		longest, _ := time.ParseDuration(l.TurnMax)
		st.Loops = append(st.Loops, LoopRow{
			l.Loop, l.Open, l.Accepted, p99.Seconds(),
			longest.Seconds(),
		})
	}
	return st, nil
}

// fleetTimeout is how long peers have to send their status.
const fleetTimeout = 400 * time.Millisecond

// freshFor is how old a peer's status may be.
const freshFor = time.Second

// fleetStatus is what GET /fleet returns: the status of this node and those that the others sent.
func (n *Node) fleetStatus() ([]NodeStatus, error) {
	list := []NodeStatus{n.status()}
	if n.poller == nil {
		return list, nil
	}
	n.poller.AskStatus()
	for end := time.Now().Add(fleetTimeout); ; time.Sleep(5 * time.Millisecond) {
		reports, waiting := n.poller.Reports(), false
		for _, r := range reports {
			waiting = waiting || r.Alive && (r.Text == nil || r.Age > freshFor)
		}
		if waiting && time.Now().Before(end) {
			continue
		}
		for _, r := range reports {
			var s NodeStatus
			if r.Text == nil || json.Unmarshal(r.Text, &s) != nil {
				s = NodeStatus{State: "silent"} // it has an earlier version, or is gone
			}
			s.Age = r.Age.Seconds()
			if !r.Alive {
				s.State = "lost"
			}
			s.Name, s.ID, s.Address = cmp.Or(s.Name, r.Name), r.ID, r.Address
			list = append(list, s)
		}
		return list, nil
	}
}
