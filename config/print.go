package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"reprise/config/source/ini"
)

const helpWidth = 110

// WriteHelp writes what every option is, by group.
func WriteHelp(w io.Writer) error {
	var out bytes.Buffer
	for i := 0; i < len(options); {
		group, fs := options[i].group, newFlagSet()
		for ; i < len(options) && options[i].group == group; i++ {
			o := &options[i]
			addFlag(fs, o, o.name, nil)
			flag := fs.Lookup(o.name)
			flag.Usage, flag.DefValue = o.describe(), ""
		}
		fmt.Fprintf(&out, "%s:\n%s\n", group, fs.FlagUsagesWrapped(helpWidth))
	}
	out.WriteString(`ADDR is host:port, :port, [v6]:port or /unix/path. DURATION is seconds, or such as
250ms or 2m. SIZE is bytes, or such as 64k, 16m or 1g.
Each option is also a key of an INI file, under [uwsgi] or [reprise]: idle-timeout = 2m
`)
	_, err := w.Write(out.Bytes())
	return err
}

// describe says what the option is, its default and its other names.
func (o *option) describe() string {
	var notes []string
	if o.byDefault != "" {
		notes = append(notes, "default "+o.byDefault)
	}
	if o.repeat {
		notes = append(notes, "repeatable")
	}
	if len(o.aliases) > 0 {
		notes = append(notes, "also "+strings.Join(o.aliases, ", "))
	}
	if len(notes) == 0 {
		return o.help
	}
	return o.help + " (" + strings.Join(notes, "; ") + ")"
}

// Print writes the configuration as an INI file, each value with its meaning and source; Parse
// makes the same Config of that file again. Options without a value are printed as comments. No
// secret is written: keys appear by their file names, and a password inside the URL of a
// session-store as ***, which is all that Parse then reads of it.
func (c *Config) Print(w io.Writer) error {
	var out bytes.Buffer
	out.WriteString("[reprise]\n")
	group := ""
	for i := range options {
		o := &options[i]
		if o.group != group {
			group = o.group
			fmt.Fprintf(&out, "\n; ==== %s ====\n", group)
		}
		out.WriteByte('\n')
		writeComment(&out, o.name+" "+o.form+": "+o.describe())
		inForce := c.inForce(o)
		if len(inForce) == 0 {
			fmt.Fprintf(&out, ";%s =\n", o.name)
		}
		for _, s := range inForce {
			fmt.Fprintf(&out, "; from %s\n%s = %s\n", s.source, o.name, ini.Quote(s.shown()))
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// writeComment writes text as lines that start with a semicolon.
func writeComment(out *bytes.Buffer, text string) {
	line := ";"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > helpWidth {
			fmt.Fprintln(out, line)
			line = ";"
		}
		line += " " + word
	}
	fmt.Fprintln(out, line)
}

// inForce returns the settings of o that count.
func (c *Config) inForce(o *option) []setting {
	var all []setting
	for _, s := range c.settings {
		if s.option == o {
			all = append(all, s)
		}
	}
	if !o.repeat && len(all) > 1 {
		all = all[len(all)-1:]
	}
	return all
}
