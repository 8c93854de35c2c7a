package stats

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/internal/metric"
)

// flows has every kind of field that can become a metric.
type flows struct {
	Open     int64                    `json:"open" metric:"gauge" help:"Client connections open now."`
	Opened   uint64                   `json:"opened" metric:"counter" help:"Client connections accepted."`
	Draining bool                     `json:"draining" metric:"gauge" help:"Whether new connections are refused."`
	In       direction                `json:"in"`
	Closed   map[string]uint64        `json:"closed" label:"cause" metric:"counter" help:"Flows ended."`
	Connect  metric.HistogramSnapshot `json:"connect" metric:"histogram" help:"Time to connect to the backend."`
	Note     string                   `json:"note"`
}

type direction struct {
	Bytes uint64 `json:"bytes" metric:"counter" help:"Plaintext bytes."`
}

type loop struct {
	ID    int      `json:"id" label:"loop"`
	Turns uint64   `json:"turns" metric:"counter" help:"Times the loop woke up."`
	Peers []peer   `json:"peers"`
	Lag   *float64 `json:"lag_seconds" metric:"gauge" help:"Age of the oldest event."`
}

type peer struct {
	Name string `json:"name" label:"peer"`
	Sent uint64 `json:"sent" metric:"counter" help:"Datagrams sent."`
}

// row is a cache with a counter of our own.
type row struct {
	Cache
	Evicted uint64 `json:"evicted" metric:"counter" help:"Sessions that made room."`
}

// example returns a registry in which everything has a value.
func example() *Registry {
	var connect metric.Histogram
	connect.Observe(3 * time.Microsecond)
	connect.Observe(time.Minute)
	r := NewRegistry("1.2.3")
	r.Register("flows", func() any {
		return flows{
			Open: -1, Opened: 10, Draining: true, In: direction{1 << 40},
			Closed: map[string]uint64{"idle": 2, "backend": 3}, Connect: connect.Snapshot(), Note: "not a metric",
		}
	})
	r.Register("loops", func() any {
		return []loop{{ID: 0, Turns: 5, Peers: []peer{{"b", 1}, {"c", 2}}}, {ID: 1, Turns: 6}}
	})
	r.Register("load", func() any { return 7 })
	r.RegisterCaches(func() []CacheRow {
		return []CacheRow{
			row{Cache{
				Name: "ssl", KeySize: 128, MaxItems: 20000, Blocks: 20000, BlockSize: 4096, Items: 3,
				Hits: 8, Miss: 2, Full: 1,
			}, 4},
			Cache{Name: "other", MaxItems: 10},
		}
	})
	return r
}

func TestDocument(t *testing.T) {
	text := string(example().document())

	// Members stand in order; keys at the top are those indented by one tab.
	var keys []string
	for line := range strings.Lines(text) {
		if key, found := strings.CutPrefix(line, "\t\""); found {
			keys = append(keys, key[:strings.Index(key, `"`)])
		}
	}
	want := []string{"version", "pid", "uid", "gid", "cwd", "caches", "cache", "flows", "loops", "load"}
	if !slices.Equal(keys, want) {
		t.Errorf("got members %v, want %v", keys, want)
	}

	var d struct {
		Version string
		PID     int
		CWD     string
		Caches  []row
		Cache   map[string]int
		Flows   map[string]json.RawMessage
		Loops   []loop
		Load    int
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	cwd, _ := os.Getwd()
	if d.Version != "1.2.3" || d.PID != os.Getpid() || d.CWD != cwd || d.Load != 7 {
		t.Errorf("got version %q, pid %d, cwd %q, load %d", d.Version, d.PID, d.CWD, d.Load)
	}
	if len(d.Caches) != 2 || d.Caches[0].Hits != 8 || d.Caches[0].Evicted != 4 ||
		d.Caches[1].Name != "other" {
		t.Errorf("got caches %+v", d.Caches)
	}
	if d.Cache["hits"] != 8 || d.Cache["max_items"] != 20000 || len(d.Cache) != 6 {
		t.Errorf("got cache %v, want the first one's six fields", d.Cache)
	}
	if string(d.Flows["opened"]) != "10" || !strings.Contains(string(d.Flows["connect"]), `"p99_us"`) {
		t.Errorf("got flows %s", d.Flows)
	}
	if len(d.Loops) != 2 || d.Loops[0].Peers[1].Sent != 2 {
		t.Errorf("got loops %+v", d.Loops)
	}
}

func TestDocumentWithoutCaches(t *testing.T) {
	text := string(NewRegistry("1").document())
	if !strings.Contains(text, `"caches": []`) || strings.Contains(text, `"cache"`) {
		t.Errorf("got %s, want an empty array and no cache", text)
	}
}

func TestDocumentSurvivesWhatJSONCannotSay(t *testing.T) {
	r := NewRegistry("1")
	r.Register("bad", func() any { return math.NaN() })
	r.Register("good", func() any { return 1 })
	var d struct {
		Bad  struct{ Error string }
		Good int
	}
	if err := json.Unmarshal(r.document(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Good != 1 || !strings.Contains(d.Bad.Error, "NaN") {
		t.Errorf("got %+v", d)
	}
}

func TestRegisterPanics(t *testing.T) {
	for _, name := range []string{"", "Flows", "http-stats", `a"b`, "pid", "cache", "caches", "flows"} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			example().Register(name, func() any { return nil })
		})
	}
}

// TestCheck says what is wrong with structs that cannot become metrics. It is long because it
// is a table.
func TestCheck(t *testing.T) {
	if err := example().Check(); err != nil {
		t.Errorf("example: got %v", err)
	}
	tests := []struct {
		name     string
		snapshot any
		want     string
	}{
		{"no help", struct {
			A int `json:"a" metric:"gauge"`
		}{}, "reprise_part_a: a metric needs a help tag"},
		{"unknown type", struct {
			A int `json:"a" metric:"number" help:"A."`
		}{}, `metric type "number"`},
		{"no JSON name", struct {
			OpenNow int `metric:"gauge" help:"A."`
		}{}, "reprise_part_OpenNow: JSON names"},
		{"a string", struct {
			A string `json:"a" metric:"gauge" help:"A."`
		}{}, "string is not a number"},
		{"a duration", struct {
			A time.Duration `json:"a" metric:"gauge" help:"A."`
		}{}, "time.Duration is not a number"},
		{"a struct", struct {
			A direction `json:"a" metric:"counter" help:"A."`
		}{}, "direction is not a number"},
		{"no histogram", struct {
			A int `json:"a" metric:"histogram" help:"A."`
		}{}, "must be a metric.HistogramSnapshot"},
		{"a map of histograms, that is none", struct {
			A map[string]int `json:"a" metric:"histogram" help:"A." label:"x"`
		}{map[string]int{"y": 1}}, "must be a metric.HistogramSnapshot"},
		{"one name twice", struct {
			Peers []struct {
				Name  string `json:"name" label:"name"`
				Alive int    `json:"alive" metric:"gauge" help:"A."`
			} `json:"peers"`
			Alive int `json:"peers_alive" metric:"gauge" help:"B."`
		}{Peers: make([]struct {
			Name  string `json:"name" label:"name"`
			Alive int    `json:"alive" metric:"gauge" help:"A."`
		}, 1)}, "reprise_part_peers_alive"},
		{"a family without label", &struct {
			A metric.Reasons `json:"a" help:"A."`
		}{}, "needs a label tag and a help tag"},
		{"a counter without help", &struct {
			A metric.Counter `json:"a"`
		}{}, "a metric needs a help tag"},
		{"a counter that is copied", struct {
			A metric.Counter `json:"a" help:"A."`
		}{}, "must not be copied"},
		{"an unlabelled map", struct {
			A map[string]int `json:"a" metric:"counter" help:"A."`
		}{}, "needs string keys and a label tag"},
		{"an empty map of no numbers", struct {
			A map[string]string `json:"a" metric:"counter" help:"A." label:"x"`
		}{}, "string is not a number"},
		{"elements without label", []direction{{1}, {2}}, "needs a field with a label tag"},
		{"no elements, without label", []direction{}, "needs a field with a label tag"},
		{"no elements, without help", []struct {
			Name string `json:"name" label:"name"`
			A    int    `json:"a" metric:"gauge"`
		}{}, "needs a help tag"},
		{"one label twice", struct {
			Name string            `json:"name" label:"x"`
			A    map[string]uint64 `json:"a" metric:"counter" help:"A." label:"x"`
		}{}, "duplicate label names"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRegistry("1")
			r.Register("part", func() any { return tt.snapshot })
			if err := r.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// counting is a struct of counters, with an embedded one.
type counting struct {
	Seen  metric.Counter   `json:"seen" help:"Things seen."`
	Size  metric.Gauge     `json:"size_bytes" help:"Bytes they take."`
	Lost  metric.Reasons   `json:"lost" label:"reason" help:"Things lost."`
	Quiet metric.Counter   `json:"quiet" metric:"-"`
	Took  metric.Histogram `json:"took" help:"Time it took."`
	plain
}

type plain struct {
	Inner metric.Counter `json:"inner" help:"Things within."`
}

// TestCountersAreShown: the document and the metrics show the current values of counters.
func TestCountersAreShown(t *testing.T) {
	var c counting
	r := NewRegistry("1")
	r.Register("things", func() any { return &c })
	r.Register("around", func() any { return struct{ *plain }{&c.plain} })
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	c.Seen.Add(7)
	c.Size.Set(-3)
	c.Lost.Inc("cat")
	c.Quiet.Inc()
	c.Took.Observe(time.Second)
	c.Inner.Add(5)
	var d struct {
		Things struct {
			Seen, Quiet, Inner int
			Size               int `json:"size_bytes"`
			Lost               map[string]int
			Took               struct{ Count int }
		}
		Around struct{ Inner int }
	}
	if err := json.Unmarshal(r.document(), &d); err != nil {
		t.Fatal(err)
	}
	if got := d.Things; got.Seen != 7 || got.Size != -3 || got.Lost["cat"] != 1 || got.Quiet != 1 ||
		got.Took.Count != 1 || got.Inner != 5 || d.Around.Inner != 5 {
		t.Errorf("got %s", r.document())
	}
	p := prometheus.NewRegistry()
	p.MustRegister(collector{r})
	families, err := p.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		got = append(got, f.GetName()+" "+f.GetType().String())
	}
	want := []string{
		"reprise_around_inner_total COUNTER", "reprise_things_inner_total COUNTER", "reprise_things_lost_total COUNTER",
		"reprise_things_seen_total COUNTER", "reprise_things_size_bytes GAUGE", "reprise_things_took_seconds HISTOGRAM",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
