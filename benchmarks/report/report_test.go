package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// sample is a valid one of case "c".
func sample(server string, openssl bool, round int, figure float64) Sample {
	return Sample{
		Case: "c", Server: server, OpenSSL: openssl, Round: round, Figure: figure, Ops: 10,
		Seconds: 2,
	}
}

func results(samples ...Sample) Results {
	return Results{
		Environment: Environment{Cases: []Case{{
			Name: "c", Title: "A case.", Unit: "µs", Best: true, Aim: 0.5, AimOf: "reprise",
		}}},
		Samples: samples,
	}
}

func TestRatioIsToTheBestOpenSSLServerOfTheSameRound(t *testing.T) {
	r := results(
		sample("reprise", false, 1, 50), sample("reprise", false, 2, 80), sample("reprise", false, 3, 60),
		sample("good", true, 1, 100), sample("good", true, 2, 100), sample("good", true, 3, 200),
		sample("bad", true, 1, 90), sample("bad", true, 2, 150), sample("bad", true, 3, 150),
		sample("plain-go", false, 1, 10), sample("plain-go", false, 2, 10), sample("plain-go", false, 3, 10),
	)
	for _, row := range r.standings() {
		if row.Server != "reprise" {
			continue
		}
		if row.Best != "good" || row.Ratio != (ratio{0.5, 0.3, 0.8}) || row.Figure != 60 || row.PerSecond != 5 {
			t.Errorf("got %+v, want the median 60, ratios 0.5 (0.3 to 0.8) to good, 5 a second", row)
		}
		return
	}
	t.Error("got no row for reprise")
}

func TestInvalidSamplesDoNotCount(t *testing.T) {
	broken := sample("broken", true, 1, 1)
	broken.Invalid = "resumed 3 of 10 handshakes"
	half := sample("reprise", false, 2, 1)
	half.Invalid = "1 error"
	r := results(sample("reprise", false, 1, 50), half, sample("good", true, 1, 100), sample("good", true, 2, 100), broken)
	rows := r.standings()
	if got := rows[len(rows)-1]; got.Server != "broken" || got.Rounds != 0 || got.Invalid != broken.Invalid {
		t.Errorf("got %+v last, want broken without a round", got)
	}
	if got := rows[0]; got.Server != "reprise" || got.Rounds != 1 || got.Figure != 50 ||
		got.Ratio.Median != 0.5 || got.Invalid == "" {
		t.Errorf("got %+v first, want reprise with one of two rounds", got)
	}
}

func TestGrowthIsToTheFirstPoint(t *testing.T) {
	r := results()
	for point, figure := range map[int]float64{10: 4, 100: 6, 1000: 12} {
		s := sample("reprise", false, 1, figure)
		s.Point = point
		r.Samples = append(r.Samples, s)
	}
	late := sample("late", false, 1, 9)
	late.Point = 1000
	r.Samples = append(r.Samples, late)
	want := map[string]float64{"reprise 10": 0, "reprise 100": 1.5, "reprise 1000": 3, "late 1000": 0}
	for _, row := range r.standings() {
		if name := fmt.Sprint(row.Server, " ", row.Point); row.Growth != want[name] {
			t.Errorf("%s: got %v, want %v", name, row.Growth, want[name])
		}
	}
}

func TestMedian(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, 0},
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 9, 2}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := median(tt.values); math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	want := results(sample("reprise", false, 1, 50), sample("good", true, 1, 100))
	want.Samples[0].Latency = &Latency{1, 2, 3, 4, 5}
	want.Environment.Cases = append(want.Environment.Cases, Case{Name: "grow", Point: "connections", Unit: "µs"})
	for _, point := range []int{10, 1000} {
		s := sample("reprise", false, 1, 7)
		s.Case, s.Point = "grow", point
		want.Samples = append(want.Samples, s)
	}
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, name := range []string{tableFile, ratiosPlot, "c-latency.svg", "grow.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: got %v, want it written", name, err)
		}
	}
}

func TestUpdate(t *testing.T) {
	const begin, end = "<!-- performance: begin -->", "<!-- performance: end -->"
	r := results(sample("reprise", false, 1, 50), sample("good", true, 1, 100))
	r.Environment.Cases[0].Headline, r.Environment.Cases[0].Unit = true, perConnection
	tests := []struct{ name, text, want string }{
		{"between the markers", "head\n" + begin + "\nold\n" + end + "\ntail\n", "head\n" + begin + "\nMeasured"},
		{"no markers", "head\n", ""},
		{"only the first", "head\n" + begin + "\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "README.md")
			if err := os.WriteFile(file, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			err := r.Update(file, filepath.Join(dir, "results", "today"))
			after, _ := os.ReadFile(file)
			if tt.want == "" {
				if err == nil || string(after) != tt.text {
					t.Errorf("got %v and %q, want an error and nothing changed", err, after)
				}
				return
			}
			got := string(after)
			if err != nil || !strings.HasPrefix(got, tt.want) || !strings.HasSuffix(got, end+"\ntail\n") ||
				strings.Contains(got, "old") {
				t.Errorf("got %v and\n%s", err, got)
			}
			for _, want := range []string{"| c | CPU µs per connection | 50.0 | good 100 | 0.50 (0.50 to 0.50) | 0.50 |", "](results/today/results.md)"} {
				if !strings.Contains(got, want) {
					t.Errorf("got no %q in\n%s", want, got)
				}
			}
		})
	}
}

// TestCapacity: 50 µs for each client leave a core room for 14,000 a second at 70 %.
func TestCapacity(t *testing.T) {
	r := results(sample("reprise", false, 1, 50), sample("good", true, 1, 100))
	r.Environment.Cases[0].Unit = perConnection
	if got := r.capacity("x"); !strings.Contains(got, "| c | TCP | 50.0 | 14000 |") || strings.Contains(got, "good") {
		t.Errorf("got\n%s", got)
	}
}

// TestMissedAims: the results say of each aim whether it was reached, by how much not, and why.
func TestMissedAims(t *testing.T) {
	const reached, missed, close, absent = "Aim: ratio of reprise to the best peer at most 0.50; reached.",
		"at most 0.50; missed by 0.10.", "at most 0.50; missed by 0.05, less than rounds differ.", "at most 0.50; not measured."
	good := []Sample{sample("good", true, 1, 100), sample("good", true, 2, 100)}
	invalid := sample("reprise", false, 1, 50)
	invalid.Invalid = "1 error"
	tests := []struct {
		name string
		own  []Sample
		want string
		why  bool
	}{
		{"reached", []Sample{sample("reprise", false, 1, 50)}, reached, false},
		{"missed", []Sample{sample("reprise", false, 1, 60), sample("reprise", false, 2, 60)}, missed, true},
		{"missed within the spread", []Sample{sample("reprise", false, 1, 50), sample("reprise", false, 2, 60)}, close, true},
		{"not measured", []Sample{invalid}, absent, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := results(append(tt.own, good...)...)
			r.Why = "Because."
			got := r.table()
			if !strings.Contains(got, tt.want) || strings.Contains(got, "missed by |") != tt.why ||
				strings.Contains(got, "\nBecause.\n") != tt.why {
				t.Errorf("got no %q, or Because. where nothing was missed, or none, in\n%s", tt.want, got)
			}
		})
	}
}

// TestMissedGrowth: an aim may be to the first point.
func TestMissedGrowth(t *testing.T) {
	r := results()
	r.Environment.Cases[0] = Case{
		Name: "c", Unit: "µs", Point: "nodes", AimOf: "reprise",
		AimGrowth: map[int]float64{2: 1.1, 4: 1.3},
	}
	for point, figure := range map[int]float64{1: 10, 2: 12, 4: 13} {
		s := sample("reprise", false, 1, figure)
		s.Point = point
		r.Samples = append(r.Samples, s)
	}
	got := r.table()
	for _, want := range []string{
		"Aim at 2 nodes: ratio of reprise to its first row at most 1.10; missed by 0.10.",
		"Aim at 4 nodes: ratio of reprise to its first row at most 1.30; reached.",
		"| c at 2 nodes | reprise | 1.20 (1.20 to 1.20) | 1.10 | 0.10 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got no %q in\n%s", want, got)
		}
	}
}

// TestSections: documents get Reprise's rows, and a table without any says so.
func TestSections(t *testing.T) {
	r := Results{Environment: Environment{Cases: []Case{
		{Name: "fleet", Unit: perConnection, Point: "nodes", AimOf: "reprise", AimGrowth: map[int]float64{2: 1.1}},
		{Name: "apart-push", Unit: perConnection, Point: "nodes"},
		{Name: "session13", Unit: "bytes per session"},
		{Name: "idle", Unit: "KB per connection", Point: "connections", Best: true},
	}}}
	add := func(name, server string, point int, figure float64, more map[string]float64) {
		r.Samples = append(r.Samples, Sample{
			Case: name, Server: server, OpenSSL: server == "good",
			Point: point, Round: 1, Figure: figure, More: more,
		})
	}
	add("fleet", "reprise", 1, 100, nil)
	add("fleet", "reprise", 2, 120, nil)
	add("fleet", "good", 2, 300, nil)
	add("apart-push", "reprise", 8, 150, map[string]float64{"lag p50 µs": 700})
	add("session13", "reprise", 0, 161, map[string]float64{"millions in a GB": 6.2})
	add("idle", "reprise", 9000, 3, nil)
	add("idle", "good", 9000, 12, nil)
	tests := []struct{ name, got, want string }{
		{"growth beside its aim", r.fleets("x"), "| fleet | 2 | 120 | 1.20 | 1.10 |"},
		{"growth in a sentence", r.performance("x"), "at a single node 1.20 times at 2 nodes (aim\n1.10).\n"},
		{"lag", r.fleets("x"), "| apart-push | 8 | 150 | 700 |"},
		{"no case measured", r.fleets("x"), "A ninth node is started:\n\nNot measured.\n"},
		{"bytes", r.sizes("x"), "| session13 | 161 | 6.20 |"},
		{"idle", r.sizes("x"), "| idle | 9000 | 3.00 | 0.25 (0.25 to 0.25) |"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(tt.got, tt.want) || strings.Contains(tt.got, "300") {
				t.Errorf("got no %q, or a peer's row, in\n%s", tt.want, tt.got)
			}
		})
	}
}

func TestParagraph(t *testing.T) {
	long := strings.Repeat("µ", 70)
	tests := []struct{ name, text, want string }{
		{"short", "one  two\nthree", "one two three\n"},
		{"too long for a line", long + " " + long, long + "\n" + long + "\n"},
		{"just fits", long + " " + long[:98], long + " " + long[:98] + "\n"}, // 70, a blank, 49 of two bytes each
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := paragraph(tt.text); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
