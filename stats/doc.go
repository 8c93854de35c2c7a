// Package stats shows what a node does: as one JSON document on a plain socket
// (connect, read, closed: uWSGI's stats server), and as /stats, /metrics,
// /healthz and /readyz of an admin HTTP server.
//
// # One definition, two outputs
//
// A part registers a function under an object's name. The function returns a pointer to the struct
// in which the part counts, or a struct around it, whose tags say the rest:
//
//	type Flows struct {
//		Open    metric.Gauge           `json:"open" help:"Client connections open now."`
//		Opened  metric.Counter         `json:"opened" help:"Client connections accepted."`
//		InBytes metric.Counter         `json:"in_bytes" help:"Plaintext bytes from clients."`
//		Closed  metric.Counters[cause] `json:"closed" label:"cause" help:"Flows ended."`
//		Connect metric.Histogram       `json:"connect" help:"Time to connect to the backend."`
//
// Limit int `json:"limit" metric:"gauge" help:"Client connections there may be."`
//
//	}
//	registry.Register("flows", func() any { return metric.Sum(ofLoops...) })
//
// The document gets an object "flows" as encoding/json makes it. Prometheus gets
// reprise_flows_open, reprise_flows_opened_total, reprise_flows_in_bytes_total,
// reprise_flows_closed_total{cause="..."}, the histogram
// reprise_flows_connect_seconds, and reprise_flows_limit:
//
//   - A field of a type of package metric is a metric, of the kind that its type says; with
//     metric:"-" it is in the document only. Families need a label tag, which names the label
//     that carries the key. They must be reached by a pointer, since they must not be copied.
//   - metric:"counter", "gauge" or "histogram" makes a metric of another field, such as a number
//     that is computed; a field without it is in the document only.
//   - A metric needs help.
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
// A value that is not a struct (a number, a list of strings) may be registered too: it is in the
// document only. Registry.Check finds wrong tags; a test of the package that registers should call
// it.
//
// # The document
//
// version, pid, uid, gid and cwd of the process; caches, an array of structs that embed Cache, and
// cache, the first of them in the form of uWSGI's early versions (and its document); then the
// registered objects in order of registration. Indented by tabs, as uWSGI does it.
//
// # Concurrency
//
// Snapshot functions run on the servers' goroutines, never on a loop, and one at a time. They
// should only read atomics, or take a short lock that no loop waits for. Both servers are bounded
// in connections and in time per connection, so a client that stops reading holds up neither the
// node nor other clients for long.
package stats
