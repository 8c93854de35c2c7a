package node

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"reprise/engine"
	"reprise/replicate"
	"reprise/tlsconn"
)

// A WhyRow is a handshake of a client as GET /why explains it.
type WhyRow struct {
	At      time.Time `json:"at"`
	Name    string    `json:"server_name"`
	Version string    `json:"version"`
	Took    float64   `json:"took_seconds"` // from accept
	Outcome string    `json:"outcome"`      // as the statistics count it; "failed" for none
	// the node that made the session that was offered; empty if not known
	Owner string `json:"owner"`
	Words string `json:"words"`
}

// handleWhy serves GET /why: client is an address.
func (n *Node) handleWhy(w http.ResponseWriter, r *http.Request) {
	client, err := netip.ParseAddr(r.URL.Query().Get("client"))
	if err != nil {
		http.Error(w, "client must be an IP address without a port", http.StatusBadRequest)
		return
	}
	names := n.nodeNames()
	rows := []WhyRow{}
	for _, h := range n.engine.Recent(client.WithZone("")) {
		rows = append(rows, n.why(&h, names))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(rows)
}

// A knownNode is the name of another node, and whether it is heard.
type knownNode struct {
	name  string
	alive bool
}

// nodeNames returns the nodes that this one knows, by their ids in sessions.
func (n *Node) nodeNames() map[string]knownNode {
	names := make(map[string]knownNode)
	peers, _ := n.peerList()
	for _, p := range peers {
		if p.ID != "" {
			names[p.ID] = knownNode{p.Name, p.Alive}
		}
	}
	return names
}

var versions = map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}

// why explains a handshake.
func (n *Node) why(h *engine.Handshake, names map[string]knownNode) WhyRow {
	row := WhyRow{
		At: h.At.UTC(), Name: h.ServerName, Version: versions[h.Version],
		Took: h.Took.Seconds(),
	}
	if h.Failed != "" {
		row.Outcome, row.Words = "failed", "no connection: the handshake failed: "+h.Failed
		return row
	}
	row.Outcome = h.Outcome.String()
	owner := owner{
		known: h.Offered != tlsconn.NodeID{},
		here:  h.Offered == tlsconn.NodeID(n.id.Short()),
	}
	switch peer, isPeer := names[replicate.ShortID(h.Offered).String()]; {
	case owner.here:
		owner.name = "this node"
		row.Owner = n.id.Short().String()
	case isPeer:
		owner.name, owner.alive = "node "+peer.name, peer.alive
		row.Owner = peer.name
	case owner.known:
		row.Owner = replicate.ShortID(h.Offered).String()
		owner.name = "a node that is not known here (" + row.Owner + ")"
	}
	row.Words = n.words(h, owner)
	return row
}

// An owner is the node that made the session a client has offered.
type owner struct {
	name  string
	known bool // its name is known
	here  bool // it is this node
	alive bool // it is heard now; of others
}

// words explains the outcome of a handshake.
func (n *Node) words(h *engine.Handshake, o owner) string {
	const full = "full handshake: "
	offered := full + "the session it offered "
	of := offered + "is of " + o.name
	switch h.Outcome {
	case tlsconn.NewClient:
		return full + "it offered no session"
	case tlsconn.ResumedLocal:
		return "resumed: the session was made at this node"
	case tlsconn.ResumedPushed:
		return "resumed: " + o.name + " made the session and had sent it here"
	case tlsconn.ResumedPulled:
		return "resumed: this node asked for the session, which " + o.name + " made, and got it"
	case tlsconn.ResumedStore:
		return "resumed: the session came from a session store"
	case tlsconn.MissUnknown:
		return of + gone(h, o)
	case tlsconn.MissLate:
		return of + fmt.Sprintf(", and no node that has it answered in %v (cache-lookup-timeout)",
			n.config.Tuning.LookupTimeout)
	case tlsconn.MissExpired:
		return of +
			fmt.Sprintf(
				" and has expired: it lives for %v from its full handshake (ssl-sessions-timeout)",
				n.config.SessionTimeout)
	case tlsconn.MissHeld:
		return of + ", is for one use, and another handshake was trying it"
	case tlsconn.MissSpent:
		return of + ", is for one use, and had been used"
	}
	if text, ok := unfit[h.Outcome]; ok {
		return offered + text
	}
	return full + h.Outcome.String()
}

// gone explains why a session was not found.
func gone(h *engine.Handshake, o owner) string {
	switch {
	case o.here:
		return " and is no longer there: it was evicted or forgotten"
	case !h.Asked:
		return ", does not exist here, and there was no node to ask"
	case !o.alive:
		return ", which is not heard, and no other node that was asked has it"
	default:
		return ", and no node that was asked still has it: it was evicted or forgotten"
	}
}

// unfit are outcomes for which the owner of the session does not matter.
var unfit = map[tlsconn.Outcome]string{
	tlsconn.MissBadHandle:    "is not from this fleet: forged, damaged, or made under another secret",
	tlsconn.MissScopeContext: "was made under another session context",
	tlsconn.MissScopePolicy:  "was made under another policy of versions and cipher suites",
	tlsconn.MissScopeClient:  "was made under another policy of client certificates",
	tlsconn.MissScopeName:    "was made for another server name",
	tlsconn.MissDeclined:     "does not fit this handshake: another version or cipher suite, or its client certificate has expired",
	tlsconn.MissCorrupt:      "was stored in an unreadable form",
	tlsconn.MissOtherEngine:  "was made by the other tls-engine, which this one cannot read",
}
