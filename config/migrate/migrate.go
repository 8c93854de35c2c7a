// Package migrate holds a verdict on each option of uWSGI: whether it means the same here, is
// passed on to the uwsgi of an application, or what to write instead. docs/MIGRATING.md is
// generated from its tables.
package migrate

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Verdict says how an option of another program is treated.
type Verdict string

// The verdicts.
const (
	Supported  Verdict = "supported"
	Better     Verdict = "supported better"
	Passed     Verdict = "passed on" // to the uwsgi that runs the application
	PassedPart Verdict = "passed on with a warning"
	Ignored    Verdict = "ignored"
	Warned     Verdict = "ignored with a warning"
	Refused    Verdict = "refused"
)

// Row is the verdict about some names, separated by spaces. The note says what differs or what to
// write instead.
type Row struct {
	Names   string
	Verdict Verdict
	Note    string
}

// IsForeign reports whether r is about an option that only the other program has; false if r is
// nil.
func (r *Row) IsForeign() bool {
	return r != nil && r.Verdict != Supported && r.Verdict != Better
}

// IsPassed reports whether the option is passed on to the uwsgi that runs the application.
func (r *Row) IsPassed() bool { return r.Verdict == Passed || r.Verdict == PassedPart }

// Chapter is a part of a table of verdicts.
type Chapter struct {
	Title string
	Rows  []Row
}

// Table finds rows by name.
type Table struct {
	byName   map[string]*Row
	families []family
}

// family is a name that ends in *, with its row.
type family struct {
	prefix string
	row    *Row
}

// NewTable returns a table of all rows in chapters.
func NewTable(chapters ...Chapter) *Table {
	t := &Table{byName: make(map[string]*Row)}
	for _, c := range chapters {
		for i := range c.Rows {
			for name := range strings.FieldsSeq(c.Rows[i].Names) {
				if prefix, open := strings.CutSuffix(name, "*"); open {
					t.families = append(t.families, family{prefix, &c.Rows[i]})
				} else {
					t.byName[name] = &c.Rows[i]
				}
			}
		}
	}
	return t
}

// Named returns the row that has name in full; nil if there is none.
func (t *Table) Named(name string) *Row { return t.byName[name] }

// Find returns the row about a name: the row that has it in full, or else the first that has its
// beginning; nil if there is none.
func (t *Table) Find(name string) *Row {
	if r := t.byName[name]; r != nil {
		return r
	}
	i := slices.IndexFunc(t.families, func(f family) bool {
		return strings.HasPrefix(name, f.prefix)
	})
	if i < 0 {
		return nil
	}
	return t.families[i].row
}

// ForeignNames returns the names, in full, of options that only the other program has.
func (t *Table) ForeignNames() []string {
	var names []string
	for name, r := range t.byName {
		if r.IsForeign() {
			names = append(names, name)
		}
	}
	return names
}

// Usage is a key of a file and how it is treated.
type Usage struct {
	Where, Key string
	Verdict    Verdict
	Note       string
}

// Print writes a line for each key: where it first stands, how it is treated, and what differs from
// the program that the file was written for.
func Print(w io.Writer, used []Usage) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	seen := make(map[Usage]bool)
	for _, u := range used {
		again := u
		again.Where = "" // a key may be hitch's in one file and uWSGI's in another
		if seen[again] {
			continue
		}
		seen[again] = true
		line := strings.Join([]string{u.Where, u.Key, string(u.Verdict), u.Note}, "\t")
		fmt.Fprintln(table, strings.TrimRight(line, "\t"))
	}
	return table.Flush()
}
