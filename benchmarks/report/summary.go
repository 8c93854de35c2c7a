package report

import (
	"slices"
	"strings"
)

// standing is the result of one server at one point of one case, over all rounds.
type standing struct {
	Case    Case
	Point   int
	Server  string
	OpenSSL bool
	Rounds  int    // valid ones
	Invalid string // why the others are not, or all are not

	Figure    float64 // medians of the valid rounds
	PerSecond float64
	Latency   Latency
	Resumed   float64 // share of handshakes, -1 without handshakes
	Others    float64 // greatest of the valid rounds
	More      map[string]float64

	// Figure relative to that of the same server at the case's first point, 0 if there is none
	Growth float64

	Best  string // the OpenSSL-based server whose figure is the least; "" if there is none
	Ratio ratio  // of Figure to that of Best in the same round
}

// ratio is the median of the rounds' ratios, and their range.
type ratio struct{ Median, Min, Max float64 }

// standings are all standings, by case, point and then figure, invalid ones last.
func (r Results) standings() []standing {
	var rows []standing
	for _, c := range r.Environment.Cases {
		first := make(map[string]float64) // figures by server
		for i, point := range r.points(c.Name) {
			for _, row := range r.standingsAt(c, point) {
				if i == 0 {
					first[row.Server] = row.Figure
				} else if first[row.Server] > 0 {
					row.Growth = row.Figure / first[row.Server]
				}
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func (r Results) points(name string) []int {
	var points []int
	for _, s := range r.Samples {
		if s.Case == name {
			points = append(points, s.Point)
		}
	}
	slices.Sort(points)
	return slices.Compact(points)
}

func (r Results) standingsAt(c Case, point int) []standing {
	byServer := make(map[string][]Sample)
	for _, s := range r.Samples {
		if s.Case == c.Name && s.Point == point {
			byServer[s.Server] = append(byServer[s.Server], s)
		}
	}
	var rows []standing
	best := -1
	for _, samples := range byServer {
		rows = append(rows, summarize(c, point, samples))
	}
	slices.SortFunc(rows, compare)
	if c.Best {
		best = slices.IndexFunc(rows, func(row standing) bool {
			return row.OpenSSL &&
				row.Rounds > 0
		})
	}
	if best < 0 {
		return rows
	}
	name := rows[best].Server
	for i := range rows {
		if rows[i].Rounds > 0 {
			rows[i].Best = name
			rows[i].Ratio = ratioOf(byServer[rows[i].Server], byServer[name])
		}
	}
	return rows
}

func compare(a, b standing) int {
	switch {
	case (a.Rounds > 0) != (b.Rounds > 0):
		return b.Rounds - a.Rounds
	case a.Figure < b.Figure:
		return -1
	case a.Figure > b.Figure:
		return 1
	}
	return strings.Compare(a.Server, b.Server)
}

func summarize(c Case, point int, samples []Sample) standing {
	row := standing{
		Case: c, Point: point, Server: samples[0].Server, OpenSSL: samples[0].OpenSSL,
		Resumed: -1,
	}
	var figures, rates []float64
	var latencies [5][]float64
	var handshakes, resumed int64
	more := make(map[string][]float64)
	for _, s := range samples {
		if s.Invalid != "" {
			row.Invalid = s.Invalid
			continue
		}
		row.Rounds++
		figures = append(figures, s.Figure)
		rates = append(rates, s.PerSecond())
		handshakes += s.Handshakes
		resumed += s.Resumed
		row.Others = max(row.Others, s.Others)
		if l := s.Latency; l != nil {
			for i, v := range []float64{l.P50, l.P90, l.P99, l.P999, l.Max} {
				latencies[i] = append(latencies[i], v)
			}
		}
		for name, v := range s.More {
			more[name] = append(more[name], v)
		}
	}
	row.Figure, row.PerSecond = median(figures), median(rates)
	row.Latency = Latency{
		median(latencies[0]), median(latencies[1]), median(latencies[2]),
		median(latencies[3]), median(latencies[4]),
	}
	if handshakes > 0 {
		row.Resumed = float64(resumed) / float64(handshakes)
	}
	if len(more) > 0 {
		row.More = make(map[string]float64, len(more))
		for name, values := range more {
			row.More[name] = median(values)
		}
	}
	return row
}

// ratioOf compares only samples of the same round: a disturbance of minutes affects both.
func ratioOf(of, to []Sample) ratio {
	base := make(map[int]float64)
	for _, s := range to {
		if s.Invalid == "" && s.Figure > 0 {
			base[s.Round] = s.Figure
		}
	}
	var ratios []float64
	for _, s := range of {
		if b := base[s.Round]; b > 0 && s.Invalid == "" {
			ratios = append(ratios, s.Figure/b)
		}
	}
	if len(ratios) == 0 {
		return ratio{}
	}
	return ratio{median(ratios), slices.Min(ratios), slices.Max(ratios)}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
