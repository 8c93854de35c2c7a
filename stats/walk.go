package stats

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/internal/metric"
)

// collector makes metrics of a registry's snapshots at each scrape.
type collector struct {
	registry *Registry
}

// Describe describes nothing: only the snapshots show which metrics there are.
func (c collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(metrics chan<- prometheus.Metric) {
	w := walker{
		emit: func(m prometheus.Metric) { metrics <- m },
		fail: func(err error) {
			metrics <- prometheus.NewInvalidMetric(
				prometheus.NewInvalidDesc(err), err)
		},
	}
	for _, o := range c.registry.measured() {
		w.object(o)
	}
}

// walker goes through a snapshot by reflection and makes a metric of each field whose tags ask for
// one. Wrong tags fail whatever the values are, even within an empty slice or map.
type walker struct {
	emit func(prometheus.Metric)
	fail func(error)
}

// place is the position of the walk: the metric's name so far, and its labels.
type place struct {
	name           string
	labels, values []string
}

func (p place) sub(name string) place {
	p.name += "_" + name
	return p
}

func (p place) with(label, value string) place {
	p.labels = append(slices.Clip(p.labels), label)
	p.values = append(slices.Clip(p.values), value)
	return p
}

// tags are the struct tags of a field.
type tags struct {
	name, kind, help, label string
}

func tagsOf(f reflect.StructField) tags {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return tags{name, f.Tag.Get("metric"), f.Tag.Get("help"), f.Tag.Get("label")}
}

func (w walker) object(o object) {
	w.value(place{name: "reprise_" + o.name}, reflect.ValueOf(o.value), tags{})
}

// value makes the metrics of v, the value of a field with the tags t.
func (w walker) value(p place, v reflect.Value, t tags) {
	v = indirect(v)
	switch {
	case !v.IsValid(): // nil: nothing to show
	case w.counted(p, v, t):
	case t.kind != "":
		w.tagged(p, v, t)
	case v.Kind() == reflect.Struct:
		w.fields(labelled(p, v), v)
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		w.elements(p, v)
	}
}

func (w walker) fields(p place, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		t := tagsOf(f)
		switch {
		case t.name == "-":
		case f.Anonymous && t.name == "" && structOf(f.Type):
			if inner := indirect(v.Field(i)); inner.IsValid() {
				w.fields(p, inner) // as encoding/json has it: its fields are ours
			}
		case f.IsExported():
			w.value(p.sub(cmp.Or(t.name, f.Name)), v.Field(i), t)
		}
	}
}

func (w walker) elements(p place, v reflect.Value) {
	if v.Len() == 0 {
		w.emit = discard
		v = reflect.New(reflect.ArrayOf(1, v.Type().Elem())).Elem()
	}
	for i := range v.Len() {
		e := indirect(v.Index(i))
		if e.Kind() != reflect.Struct {
			continue
		}
		inner, each := labelled(p, e), w
		if len(inner.labels) == len(p.labels) {
			each.emit = func(prometheus.Metric) {
				w.fail(fmt.Errorf("%s: each %v needs a field with a label tag to tell it apart",
					p.name, e.Type()))
			}
		}
		each.fields(inner, e)
	}
}

// labelled adds the labels that fields of the struct v carry.
func labelled(p place, v reflect.Value) place {
	for _, f := range reflect.VisibleFields(v.Type()) {
		label := f.Tag.Get("label")
		if label == "" || f.Type.Kind() == reflect.Map || counts(f.Type) {
			continue
		}
		if value, err := v.FieldByIndexErr(f.Index); err == nil { // else within a nil pointer
			p = p.with(label, fmt.Sprint(value))
		}
	}
	return p
}

// tagged makes the metric, or the metrics, of a field with a metric tag.
func (w walker) tagged(p place, v reflect.Value, t tags) {
	switch {
	case t.help == "":
		w.fail(fmt.Errorf("%s: a metric needs a help tag", p.name))
	case !snakeCase.MatchString(p.name):
		w.fail(fmt.Errorf("%s: JSON names of metrics must be snake case", p.name))
	case v.Kind() == reflect.Map:
		w.mapped(p, v, t)
	default:
		w.one(p, v, t)
	}
}

// counted makes the metrics of v if it is something that counts, of package metric, and reports
// whether it is. Its type says what kind of metric that makes.
func (w walker) counted(p place, v reflect.Value, t tags) bool {
	if !v.CanAddr() {
		if counts(v.Type()) {
			w.fail(fmt.Errorf("%s: what counts must not be copied: register a pointer", p.name))
			return true
		}
		return false
	}
	if t.kind == "-" {
		return true // in the document only
	}
	show := func(name, kind string, value any) {
		t.kind = kind
		if name != "" {
			w.tagged(p.with(t.label, name), reflect.ValueOf(value), t)
		} else {
			w.tagged(p, reflect.ValueOf(value), t)
		}
	}
	switch c := v.Addr().Interface().(type) {
	case *metric.Counter:
		show("", "counter", c.Load())
	case *metric.Gauge:
		show("", "gauge", c.Load())
	case *metric.Histogram:
		show("", "histogram", c.Snapshot())
	case interface{ Each(func(string, uint64)) }:
		w.family(p, t)
		c.Each(func(name string, n uint64) { show(name, "counter", n) })
	case interface {
		Each(func(string, metric.HistogramSnapshot))
	}:
		w.family(p, t)
		c.Each(func(name string, s metric.HistogramSnapshot) { show(name, "histogram", s) })
	default:
		return false
	}
	return true
}

// counts reports whether t, or what it points to, is something that counts.
func counts(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == reflect.TypeFor[metric.Counter]().PkgPath() &&
		t != reflect.TypeFor[metric.HistogramSnapshot]()
}

// family fails for a family without a label or help, also if there is nothing in it.
func (w walker) family(p place, t tags) {
	if t.label == "" || t.help == "" {
		w.fail(fmt.Errorf("%s: what counts by names needs a label tag and a help tag", p.name))
	}
}

// one makes the one metric of v.
func (w walker) one(p place, v reflect.Value, t tags) {
	if t.kind == "histogram" {
		w.histogram(p, v, t)
	} else {
		w.number(p, v, t)
	}
}

func (w walker) mapped(p place, v reflect.Value, t tags) {
	if t.label == "" || v.Type().Key().Kind() != reflect.String {
		w.fail(fmt.Errorf("%s: a map that is a metric needs string keys and a label tag", p.name))
		return
	}
	if v.Len() == 0 {
		w.emit = discard
		w.one(p.with(t.label, ""), reflect.Zero(v.Type().Elem()), t)
	}
	for i := v.MapRange(); i.Next(); {
		w.one(p.with(t.label, i.Key().String()), i.Value(), t)
	}
}

func (w walker) number(p place, v reflect.Value, t tags) {
	value, ok := float(v)
	if !ok {
		w.fail(fmt.Errorf("%s: %v is not a number (durations: float64 seconds or a histogram)", p.name,
			v.Type()))
		return
	}
	switch t.kind {
	case "counter":
		w.send(prometheus.NewConstMetric(p.desc("_total", t.help), prometheus.CounterValue, value,
			p.values...))
	case "gauge":
		w.send(prometheus.NewConstMetric(p.desc("", t.help), prometheus.GaugeValue, value,
			p.values...))
	default:
		w.fail(fmt.Errorf("%s: metric type %q: write counter, gauge or histogram", p.name, t.kind))
	}
}

func (w walker) histogram(p place, v reflect.Value, t tags) {
	s, ok := v.Interface().(metric.HistogramSnapshot)
	if !ok {
		w.fail(fmt.Errorf("%s: a histogram must be a metric.HistogramSnapshot, not %v", p.name,
			v.Type()))
		return
	}
	w.send(prometheus.NewConstHistogram(p.desc("_seconds", t.help), s.Count, s.Sum.Seconds(),
		cumulative(s), p.values...))
}

// cumulative returns the buckets as Prometheus counts them: under each upper bound in
// seconds, everything up to it. Every second one is left out: each bucket is a time
// series, and whole octaves still tell what an alert needs.
func cumulative(s metric.HistogramSnapshot) map[float64]uint64 {
	buckets := make(map[float64]uint64, len(s.Buckets)/2)
	var sum uint64
	for i, n := range s.Buckets {
		sum += n
		if bound, ok := metric.Bound(i); ok && i%2 == 0 {
			buckets[bound.Seconds()] = sum
		}
	}
	return buckets
}

func (w walker) send(m prometheus.Metric, err error) {
	if err != nil {
		w.fail(err)
		return
	}
	w.emit(m)
}

func (p place) desc(suffix, help string) *prometheus.Desc {
	return prometheus.NewDesc(strings.TrimSuffix(p.name, suffix)+suffix, help, p.labels, nil)
}

func discard(prometheus.Metric) {}

// structOf reports whether t is a struct or a pointer to one.
func structOf(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer &&
		t.Elem().Kind() == reflect.Struct
}

// indirect follows pointers and interfaces; from nil it returns the invalid Value.
func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

func float(v reflect.Value) (f float64, ok bool) {
	switch {
	case !v.IsValid() || v.Type() == reflect.TypeFor[time.Duration]():
		return 0, false
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanFloat():
		return v.Float(), true
	case v.Kind() == reflect.Bool && v.Bool():
		return 1, true
	default:
		return 0, v.Kind() == reflect.Bool
	}
}
