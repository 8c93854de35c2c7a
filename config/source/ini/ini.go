// Package ini reads INI files as uWSGI does.
//
// A line is a section, as [NAME], a comment, if it begins with ";" or "#", or an option: the text
// before the first "=" is its key, and an option without "=" has no value. A value never spans
// lines. A value between """ and """ or between backticks is taken unchanged.
package ini

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"reprise/config/source"
)

// File holds the entries of some sections of a file.
type File struct {
	// Entries are in the order written. Their Section counts the sections of this file.
	Entries []source.Entry
	// Sections is how many were begun, wanted or not.
	Sections int
	// Warnings and Errors are lines for the operator.
	Warnings []string
	Errors   []error
}

// OwnSections are read when the operator names none.
var OwnSections = []string{"uwsgi", "reprise"}

// Parse returns the entries of the sections of these names in data, which is the content of the
// file name.
func Parse(name string, data []byte, sections []string) *File {
	f := new(File)
	inside, found := false, false
	text := strings.TrimPrefix(string(data), byteOrderMark)
	for i, written := range strings.Split(text, "\n") {
		l := readLine(written)
		e := source.Entry{
			Key: l.key, Value: l.value, File: name, Line: i + 1, Section: f.Sections,
			Literal: l.literal,
		}
		switch {
		case l.kind == header:
			inside = slices.Contains(sections, l.key)
			found = found || inside
			f.Sections++
		case l.kind == unreadable:
			f.Errors = append(f.Errors,
				fmt.Errorf("%s: cannot read %q: write key = value or [section]",
					e.Where(), maskLine(strings.TrimSpace(written))))
		case l.kind == assignment && f.Sections == 0:
			f.Warnings = append(f.Warnings,
				fmt.Sprintf("%s: %q stands before the first section: ignored", e.Where(), e.Key))
		case l.kind == assignment && inside:
			f.add(e)
		}
	}
	if !found {
		f.Errors = append(f.Errors, fmt.Errorf("%s: no section [%s]: write one above the options",
			name, strings.Join(sections, "] or [")))
	}
	return f
}

// add keeps e, or the key that e sets.
func (f *File) add(e source.Entry) {
	switch e.Key {
	case "set", "set-placeholder", "set-ph":
		key, value, ok := strings.Cut(e.Value, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			f.Errors = append(f.Errors, fmt.Errorf("%s: %s: incomplete: write NAME=VALUE",
				e.Where(), e.Key))
			return
		}
		e.Defines = e.Key != "set"
		e.Key, e.Value = key, strings.TrimSpace(value)
	}
	f.Entries = append(f.Entries, e)
}

// HasSection reports whether there is a section in data.
func HasSection(data []byte) bool {
	text := strings.TrimPrefix(string(data), byteOrderMark)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "[") {
			return true
		}
	}
	return false
}

// byteOrderMark is written before a text by some editors (U+FEFF).
const byteOrderMark = "\xef\xbb\xbf"

// kind is what a line is.
type kind int

const (
	nothing kind = iota // blank, or a comment
	header
	assignment
	unreadable
)

// line is one line of a file.
type line struct {
	kind       kind
	key, value string // a header's key is its name
	literal    bool   // value was quoted
}

// quotes enclose a value that is taken unchanged.
var quotes = []string{`"""`, "`"}

// readLine reads one line of a file.
func readLine(s string) line {
	s = strings.TrimSpace(s)
	switch {
	case s == "" || s[0] == ';' || s[0] == '#':
		return line{kind: nothing}
	case s[0] == '[':
		end := strings.LastIndexByte(s, ']')
		if end <= 1 {
			return line{kind: unreadable}
		}
		return line{kind: header, key: s[1:end]}
	}
	key, value, _ := strings.Cut(s, "=")
	l := line{kind: assignment, key: strings.TrimSpace(key), value: strings.TrimSpace(value)}
	if l.key == "" {
		return line{kind: unreadable}
	}
	for _, quote := range quotes {
		rest, quoted := strings.CutPrefix(l.value, quote)
		if !quoted {
			continue
		}
		end := strings.LastIndex(rest, quote)
		if end < 0 {
			return line{kind: unreadable}
		}
		l.value, l.literal = rest[:end], true
		break
	}
	return l
}

// Quote returns value as it must be written in a file to be read back unchanged.
func Quote(value string) string {
	isQuoted := slices.ContainsFunc(quotes, func(q string) bool {
		return strings.HasPrefix(value,
			q)
	})
	if strings.TrimSpace(value) != value || isQuoted || hasVariable(value) {
		return `"""` + value + `"""`
	}
	return value
}

// hasVariable reports whether value could be read as something else in a file.
func hasVariable(value string) bool {
	return strings.Contains(value, "%") || strings.Contains(value, "$(") ||
		strings.Contains(value, "@(")
}

// credentials are what stands before the last "@" of a URL.
var credentials = regexp.MustCompile(`://.*@`)

// maskLine hides the password in a line that could not be read.
func maskLine(line string) string { return credentials.ReplaceAllString(line, "://***@") }
