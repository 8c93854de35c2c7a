package metric

import (
	"encoding/json"
	"strconv"
)

// Metrics are marshalled in place: package json must be given a pointer to the struct around them.

// MarshalJSON implements json.Marshaler.
func (c *Counter) MarshalJSON() ([]byte, error) {
	return strconv.AppendUint(nil, c.Load(), 10),
		nil
}

// MarshalJSON implements json.Marshaler.
func (g *Gauge) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, g.Load(), 10), nil }

// MarshalJSON implements json.Marshaler; see [HistogramSnapshot.MarshalJSON].
func (h *Histogram) MarshalJSON() ([]byte, error) { return h.Snapshot().MarshalJSON() }

// MarshalJSON implements json.Marshaler: an object with a member for each name.
func (c *Counters[K]) MarshalJSON() ([]byte, error) { return json.Marshal(collect(c.Each)) }

// MarshalJSON implements json.Marshaler: an object with a member for each name that was observed.
func (h *Histograms[K]) MarshalJSON() ([]byte, error) { return json.Marshal(collect(h.Each)) }

// MarshalJSON implements json.Marshaler: an object with a member for each reason.
func (r *Reasons) MarshalJSON() ([]byte, error) { return json.Marshal(collect(r.Each)) }
