// Package stats shows what a node does: as one JSON document on a plain socket
// (connect, read, closed: uWSGI's stats server), and as /stats, /metrics,
// /healthz and /readyz of an admin HTTP server.
//
// # One definition, two outputs
//
// A part hands over a function that returns a snapshot: a plain struct,
// registered under an object's name. The struct's tags say all the rest:
//
//	type Flows struct {
//		Open    int64                    `json:"open" metric:"gauge" help:"Client connections open now."`
//		Opened  uint64                   `json:"opened" metric:"counter" help:"Client connections accepted."`
//		InBytes uint64                   `json:"in_bytes" metric:"counter" help:"Plaintext bytes from clients."`
//		Closed  map[string]uint64        `json:"closed" label:"cause" metric:"counter" help:"Flows ended."`
//		Connect metric.HistogramSnapshot `json:"connect" metric:"histogram" help:"Time to connect to the backend."`
//	}
//	registry.Register("flows", func() any { return flows() })
//
// The document gets an object "flows" as encoding/json makes it. Prometheus gets
// reprise_flows_open, reprise_flows_opened_total, reprise_flows_in_bytes_total,
// reprise_flows_closed_total{cause="..."} and the histogram
// reprise_flows_connect_seconds:
//
//   - metric:"counter", "gauge" or "histogram" makes a metric of a field; a field
//     without it is in the document only. help is then required.
//   - A name is the object's and the fields' JSON names, joined by "_". A counter
//     ends in _total and a histogram in _seconds; both are added here. Other units
//     stand last in the JSON name (in_bytes, age_seconds).
//   - A nested struct lengthens the name; an embedded one does not.
//   - A map from strings to numbers or histograms is one metric; the map's label tag
//     names the label that carries the key.
//   - A slice of structs needs one string or integer field with a label tag: its
//     value labels every metric of that struct, so that the elements stay apart.
//   - Pointers and interfaces are followed, nil ones left out. A bool counts as 0 or 1.
//
// What is not a struct (a number, a list of strings) may be registered too: it is
// in the document only. Registry.Check finds wrong tags; a test of
// whoever registers should call it.
//
// # The document
//
// version, pid, uid, gid and cwd of the process; caches, an array of what
// embeds Cache, and cache, the first of them in the shape that uWSGI's early
// versions (and its document) used; then the registered objects in order of
// registration. Indented by tabs, as uWSGI does it.
//
// # Concurrency
//
// Snapshot functions run on the servers' goroutines, never on a loop, and one at
// a time. They should only read: atomics, or a short lock that no loop waits for.
// Both servers are bounded in connections and in time per connection, so
// a client that stops reading holds up neither the node nor other clients for long.
package stats
