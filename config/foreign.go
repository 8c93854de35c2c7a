package config

import (
	"fmt"
	"io"

	"reprise/config/migrate"
	"reprise/config/source"
	"reprise/config/suggest"
	"reprise/config/values"
)

var (
	uwsgiTable = migrate.NewTable(migrate.UWSGI...)
	cacheTable = migrate.NewTable(migrate.CacheKeys)
)

// foreignRow returns the row about an option that only uWSGI has; nil for any other name, and for
// one that no row has in full and that is probably an option of ours misspelt, or a variable.
func foreignRow(name string, variable bool) *migrate.Row {
	r := uwsgiTable.Find(name)
	guessed := r.IsForeign() && uwsgiTable.Named(name) == nil
	if !r.IsForeign() || guessed && (variable || suggest.Nearest(name, ownNames()) != "") {
		return nil
	}
	return r
}

// foreign handles an option that only uWSGI has. It returns the option of ours that takes it, or
// nil.
func (b *builder) foreign(e source.Entry, r *migrate.Row) *option {
	b.note(e, r)
	on, err := values.Bool(e.Value)
	off := err == nil && !on // which is the only state here
	switch {
	case off:
	case r.Verdict == migrate.Refused:
		b.fail(fmt.Errorf("%s: %s is not supported: %s", e.Where(), e.Key, r.Note))
	case r.Verdict == migrate.Warned || r.Verdict == migrate.PassedPart:
		b.warn(fmt.Sprintf("%s: %s has no effect here: %s", e.Where(), e.Key, r.Note))
	}
	if r.IsPassed() {
		return optionsByName[uwsgiOption]
	}
	return nil
}

// noteOwn records that a key names an option of ours, which may be uWSGI's too.
func (b *builder) noteOwn(e source.Entry) {
	r := uwsgiTable.Named(e.Key)
	if r == nil || r.Verdict == migrate.Refused {
		r = &migrate.Row{Verdict: migrate.Supported, Note: "reprise's own"}
	}
	b.note(e, r)
}

// note records how a key is treated.
func (b *builder) note(e source.Entry, r *migrate.Row) {
	b.config.used = append(b.config.used, migrate.Usage{
		Where: e.Where(), Key: e.Key, Verdict: r.Verdict, Note: r.Note,
	})
}

// PrintMigration writes a line for each key of the files that c was read from: where it first
// stands, how it is treated, and what differs from the program that the file was written for.
func (c *Config) PrintMigration(w io.Writer) error { return migrate.Print(w, c.used) }
