package config

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// verdict says what becomes of an option of another program.
type verdict string

const (
	supported verdict = "supported"
	better    verdict = "supported better"
	passed    verdict = "passed on" // to the uwsgi that runs the application
	ignored   verdict = "ignored"
	warned    verdict = "ignored with a warning"
	refused   verdict = "refused"
)

// row is the verdict about some names, separated by spaces. The note says what differs or what to write instead.
type row struct {
	names   string
	verdict verdict
	note    string
}

// chapter is a part of a table of verdicts.
type chapter struct {
	title string
	rows  []row
}

// usage is a key of a file and what became of it.
type usage struct {
	source, key string
	verdict     verdict
	note        string
}

// verdictOf returns the row about uWSGI's option of this name; nil if there is none.
func verdictOf(name string) *row {
	var family *row
	for i := range verdicts {
		r := verdicts[i].find(name)
		switch {
		case r == nil:
		case slices.Contains(strings.Fields(r.names), name):
			return r
		case family == nil:
			family = r
		}
	}
	return family
}

// find returns the row about a name; one that has it in full goes before one whose * stands for it.
func (c *chapter) find(name string) *row {
	var family *row
	for i := range c.rows {
		for known := range strings.FieldsSeq(c.rows[i].names) {
			prefix, open := strings.CutSuffix(known, "*")
			switch {
			case known == name:
				return &c.rows[i]
			case open && family == nil && strings.HasPrefix(name, prefix):
				family = &c.rows[i]
			}
		}
	}
	return family
}

// isForeign reports whether a name is that of an option that only uWSGI has.
func isForeign(name string) bool {
	r := verdictOf(name)
	return r != nil && r.verdict != supported && r.verdict != better
}

// foreign deals with such an option. It returns the option of ours that takes it all the same, or nil.
func (b *builder) foreign(e entry) *option {
	r := verdictOf(e.key)
	b.note(e.source, e.key, r)
	if on, err := parseBool(e.value); err == nil && !on && r.verdict != passed { // turned off: as it is here
		return nil
	}
	switch r.verdict {
	case refused:
		b.fail(fmt.Errorf("%s: %s is not supported: %s", e.source, e.key, r.note))
	case warned:
		b.config.Warnings = append(b.config.Warnings, fmt.Sprintf("%s: %s has no effect: %s", e.source, e.key, r.note))
	case passed:
		return optionsByName[uwsgiOption]
	}
	return nil
}

// foreignNames returns the names that isForeign knows in full.
func foreignNames() []string {
	var names []string
	for _, c := range verdicts {
		for _, r := range c.rows {
			for name := range strings.FieldsSeq(r.names) {
				if isForeign(name) && !strings.HasSuffix(name, "*") {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// noteOwn keeps that a key names an option of ours, which may be uWSGI's too.
func (b *builder) noteOwn(source, key string) {
	r := verdictOf(key)
	if r == nil || r.verdict == refused || !slices.Contains(strings.Fields(r.names), key) {
		r = &row{key, supported, "reprise's own"}
	}
	b.note(source, key, r)
}

// note keeps what becomes of a key.
func (b *builder) note(source, key string, r *row) {
	b.config.used = append(b.config.used, usage{source, key, r.verdict, r.note})
}

// PrintMigration writes a line for each key of the files that c was read from: where it stands, what becomes of it, and what differs
// from the program that the file was written for.
func (c *Config) PrintMigration(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, u := range c.used {
		fmt.Fprintln(table, strings.TrimRight(strings.Join([]string{u.source, u.key, string(u.verdict), u.note}, "\t"), "\t"))
	}
	return table.Flush()
}

const migrating = `# Coming from uWSGI or hitch

This page is generated from the tables that the program itself uses: ` + "`go test ./config -run Migrating -update`" + ` writes it anew.
` + "`reprise check FILE`" + ` says the same about the keys of one file.

- **supported**: it means what it means there.
- **supported better**: it does more, or what it was meant to do; the note says what.
- **passed on**: it concerns the application and is given to the uwsgi that runs it, if ` + "`module` or `wsgi-file`" + ` names one.
- **ignored**: there is nothing it could do here; **ignored with a warning**: somebody may rely on it.
- **refused**: an error that says what to write instead.

A name with * stands for all that begin so and have no line of their own. Any other key is an error that names the nearest one, unless
it is used as a variable, as ` + "`%(KEY)`" + `. Keys that only uWSGI has are read from files; on the command line they are errors.

## Files

- The order of options does not matter.
- ` + "`$(NAME)`" + ` is a variable of the environment, ` + "`@(FILE)`" + ` the content of a file without surrounding spaces, ` + "`%(KEY)`" + ` the value of a key, which
  may stand before or behind, in any of the files. What is not defined is an error. Nothing is calculated.
- ` + "`%d`" + ` is the directory of the file with a slash at the end, ` + "`%c`" + ` its name without the way there, ` + "`%p`" + ` the path of the file, ` + "`%o`" + ` the same as it was written, ` + "`%s`" + ` its
  name, ` + "`%n`" + ` that without its extension, ` + "`%e`" + ` the extension; ` + "`%v`" + ` the working directory, ` + "`%h`" + ` the host's name, ` + "`%k`" + ` the number of cores, ` + "`%u`" + ` the user's
  number; ` + "`%%`" + ` is a percent sign. Any other percent sign stays as it is, and so do all of a session-store's URL.
- In """triple quotes""" or backticks nothing is replaced.
- ` + "`ini = FILE`, `FILE:SECTION` or `:SECTION`" + ` reads that in place; ` + "`reprise FILE :SECTION`" + ` reads another section of the same file.
- Sections of one name add up. What a later one repeats word for word counts once.
`

// migratingPage returns docs/MIGRATING.md.
func migratingPage() []byte {
	var out bytes.Buffer
	out.WriteString(migrating + "\n# uWSGI\n")
	for _, c := range append(slices.Clone(verdicts), cacheVerdicts) {
		c.print(&out)
	}
	out.WriteString("\n# hitch\n\nA file named as `hitch*.conf`, or without sections and with hitch's keys, is read as hitch reads it. `reprise check hitch.conf` prints\n" +
		"the configuration it is translated into, which may be used instead of it.\n")
	keys := chapter{title: "Keys of hitch.conf"}
	for _, kind := range hitchTable {
		keys.rows = append(keys.rows, kind.row)
	}
	keys.print(&out)
	return out.Bytes()
}

func (c *chapter) print(out *bytes.Buffer) {
	fmt.Fprintf(out, "\n## %s\n\n| option | verdict | |\n|---|---|---|\n", c.title)
	for _, r := range c.rows {
		names := strings.ReplaceAll(r.names, " ", "`, `")
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", names, r.verdict, strings.ReplaceAll(r.note, "|", `\|`))
	}
}
