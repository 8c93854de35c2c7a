package stats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Registry holds the objects to show. It is safe for concurrent use, though objects are normally
// all registered before a server starts.
type Registry struct {
	mu      sync.Mutex // guards all below, and is held while snapshots are taken
	process []object   // at the top of the document
	caches  func() []CacheRow
	objects []source
}

// source is a registered object: the function that returns its snapshots.
type source struct {
	name     string
	snapshot func() any
}

// object is one member of the document.
type object struct {
	name  string
	value any
}

// NewRegistry returns a registry with only the facts about this process. The version is Reprise's.
func NewRegistry(version string) *Registry {
	cwd, _ := os.Getwd() // only for display: empty when unknown
	return &Registry{
		process: []object{
			{"version", version},
			{"pid", os.Getpid()},
			{"uid", os.Getuid()},
			{"gid", os.Getgid()},
			{"cwd", cwd},
		},
		caches: func() []CacheRow { return nil },
	}
}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// Register shows what snapshot returns under the name, both as JSON and as
// metrics (see the package comment for the tags). The snapshot is called for every document
// and every scrape, on a server's goroutine, and must not call the registry. A
// name that is not snake case or taken is a programming error: Register panics.
func (r *Registry) Register(name string, snapshot func() any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := name == "caches" || name == "cache" ||
		slices.ContainsFunc(r.process, func(o object) bool { return o.name == name }) ||
		slices.ContainsFunc(r.objects, func(s source) bool { return s.name == name })
	if taken || !snakeCase.MatchString(name) {
		panic(fmt.Sprintf("stats: object name %q is taken or not snake case", name))
	}
	r.objects = append(r.objects, source{name, snapshot})
}

// RegisterCaches shows the rows that caches returns as the array "caches", and the first of them as
// "cache" too. It is called like snapshots (see Register).
func (r *Registry) RegisterCaches(caches func() []CacheRow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caches = caches
}

// Check reports every field of the registered snapshots with wrong tags: a metric without help, on
// a field that is not a number, or of an unknown type; a slice whose elements no label tells apart;
// two fields that make one name. For tests.
func (r *Registry) Check() error {
	var errs []error
	for _, o := range r.measured() {
		w := walker{emit: discard, fail: func(err error) { errs = append(errs, err) }}
		w.object(o)
	}
	p := prometheus.NewRegistry()
	p.MustRegister(collector{r})
	if _, err := p.Gather(); err != nil && errs == nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// measured takes all snapshots that can hold metrics.
func (r *Registry) measured() []object {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]object{{"caches", r.caches()}}, r.snapshotsLocked()...)
}

func (r *Registry) snapshotsLocked() []object {
	objects := make([]object, len(r.objects))
	for i, s := range r.objects {
		objects[i] = object{s.name, s.snapshot()}
	}
	return objects
}

// document returns the JSON document, with a newline at its end.
func (r *Registry) document() []byte {
	r.mu.Lock()
	rows := r.caches()
	members := slices.Concat(r.process, cacheMembers(rows), r.snapshotsLocked())
	r.mu.Unlock()

	compact := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			compact = append(compact, ',')
		}
		compact = append(compact, `"`+m.name+`":`...) // snake case needs no escapes
		compact = append(compact, encode(m.value)...)
	}
	compact = append(compact, '}')

	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "\t"); err != nil {
		panic("stats: json.Marshal produced invalid JSON: " + err.Error())
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// encode returns value as JSON. An object that JSON cannot express (a NaN) is replaced by the
// error; the others stay.
func encode(value any) []byte {
	b, err := json.Marshal(value)
	if err != nil {
		b, _ = json.Marshal(map[string]string{"error": err.Error()}) // strings always encode
	}
	return b
}
