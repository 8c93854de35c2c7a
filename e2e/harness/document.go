package harness

import (
	"strings"
)

// A Document is the part of the statistics that tests read.
type Document struct {
	Caches   []cacheRow
	Engine   EngineRow
	Backends backendRows

	Subscriptions struct {
		Members int64
		Expired uint64
		Results map[string]uint64
	}
	Log struct{ Dropped uint64 }
}

type cacheRow struct {
	Name             string
	Items            int
	MaxItems         int `json:"max_items"`
	KeySize          int
	BlockSize        int
	Hits, Miss, Full uint64

	Expired, Held, Spent, Replaced, Evicted uint64
}

// An EngineRow holds the counters of loops.
type EngineRow struct {
	Flows struct {
		Accepted, Panics uint64
		Open             int64
		Closed           map[string]uint64
		AcceptErrors     uint64 `json:"accept_errors"`
		CipherInBytes    uint64 `json:"ciphertext_in_bytes"`
		PlainInBytes     uint64 `json:"plaintext_in_bytes"`
		PlainOutBytes    uint64 `json:"plaintext_out_bytes"`
		CipherOutBytes   uint64 `json:"ciphertext_out_bytes"`
	}
	TLS  struct{ Handshakes, Outcomes, Failures map[string]uint64 }
	HTTP struct {
		Responses, Refused map[string]uint64
		BadAnswers         map[string]uint64 `json:"bad_answers"`
		Reused             uint64            `json:"backend_connections_reused"`
		Retried            uint64
	}
	HTTP2 struct {
		Streams       uint64
		Faults        map[string]uint64
		BackendFaults map[string]uint64 `json:"backend_faults"`
		BackendResets uint64            `json:"backend_resets"`
	}
	Clients struct {
		Clients   int64
		Untracked uint64
	}
	Loops []struct{ Accepted uint64 }
}

type (
	backendRows struct {
		Pools []poolRow
		Nodes []BackendRow
	}
	poolRow struct {
		Router, Pool string
		Queued       int64
		Refused      uint64
		TLS          *backendTLSRow
	}
	backendTLSRow struct{ Handshakes, Failures map[string]uint64 }
	BackendRow    struct {
		Router, Pool, Name, State string
		Hits, Failures, Checks    uint64
		CheckFailures             uint64 `json:"check_failures"`
		Active, Grace             int64
		Up                        int
	}
)

// A sharing is the part of the statistics about sharing sessions.
type sharing struct {
	Document
	Replication replication
	Lookups     struct {
		Parked int64
		Rules  int `json:"forget_rules"`
	}
	Store1 struct {
		Sets        uint64
		WriteQueue  int64             `json:"write_queue"`
		BreakerOpen bool              `json:"breaker_open"`
		Opened      uint64            `json:"breaker_opened"`
		GetRefused  map[string]uint64 `json:"get_refused"`
	}
}

type replication struct {
	ID, Mode, Join    string
	Peers             []PeerRow
	SentDatagrams     uint64 `json:"sent_datagrams"`
	ReceivedDatagrams uint64 `json:"received_datagrams"`
	Dropped           map[string]uint64
	Lookups           struct{ Asked uint64 }
}

// A PeerRow is a node's row about a peer.
type PeerRow struct {
	ID, Name, Address string
	Introduced, Alive int
}

// ShortID names this node in other nodes' messages and in handles.
func (d sharing) ShortID() string { return d.Replication.ID[:8] }

func (r *replication) peer(id string) (PeerRow, bool) {
	for _, p := range r.Peers {
		if p.ID == id {
			return p, true
		}
	}
	return PeerRow{}, false
}

// Shared reads the statistics with those of sharing.
func (s *Server) Shared() (d sharing) {
	s.T.Helper()
	s.Decode(&d)
	return d
}

// A uwsgiDocument is the part of the statistics that uWSGI's document describes.
type uwsgiDocument struct {
	Cache  cacheRow // as uWSGI 1.9-dev had it
	Caches []cacheRow
}

// WantUWSGI checks that the object "cache" and the first of "caches" have the same figures, and
// returns them.
func (s *Server) WantUWSGI() cacheRow {
	s.T.Helper()
	var d uwsgiDocument
	s.Decode(&d)
	if len(d.Caches) != 1 {
		s.T.Fatalf("got %d caches, want 1", len(d.Caches))
	}
	all, one := d.Caches[0], d.Cache
	if one.MaxItems != all.MaxItems || one.BlockSize != all.BlockSize || one.Items != all.Items ||
		one.Hits != all.Hits || one.Miss != all.Miss {
		s.T.Errorf("cache: got %+v, want what caches has: %+v", one, all)
	}
	return all
}

// Resumed is how many handshakes have resumed a session.
func (d Document) Resumed() (n uint64) {
	for name, count := range d.Engine.TLS.Outcomes {
		if strings.HasPrefix(name, "resumed_") {
			n += count
		}
	}
	return n
}

// Members returns the states of a host's subscribers, by address.
func (s *Server) Members(host string) map[string]string {
	s.T.Helper()
	members := map[string]string{}
	for _, row := range s.Document().Backends.Nodes {
		if row.Pool == "subscribed/"+host {
			members[row.Name] = row.State
		}
	}
	return members
}
