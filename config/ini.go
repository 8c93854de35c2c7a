package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/ini.v1"
)

// Bounds on what a configuration may read, so that a loop of includes or a device file is an error.
const (
	maxFileSize     = 1 << 20
	maxIncludeDepth = 8
	maxFiles        = 100
)

// uwsgiRules make ini.v1 read a line as uWSGI does.
var uwsgiRules = ini.LoadOptions{
	AllowBooleanKeys:        true,
	IgnoreContinuation:      true,
	IgnoreInlineComment:     true,
	KeyValueDelimiters:      "=",
	PreserveSurroundedQuote: true,
}

// ownSections are read when the operator names none.
var ownSections = []string{"uwsgi", "reprise"}

// entry is an option as a file has it, before its variables have values.
type entry struct {
	option  *option // nil: the one that key names
	key     string
	value   string
	source  string // "edge.ini:12"
	file    string // "edge.ini"
	section int    // counts the sections that were begun, through all files
	literal bool   // value holds no variables
	defines bool   // key is a variable, whatever it names
}

// readFiles returns the settings of all files named on a command line.
func (b *builder) readFiles(args []string) []setting {
	var entries []entry
	previous := ""
	for _, arg := range args {
		if strings.HasPrefix(arg, ":") && previous == "" {
			b.fail(fmt.Errorf("%q: no file before it: write FILE%s", arg, arg))
			continue
		}
		if strings.HasPrefix(arg, ":") {
			arg = previous + arg
		}
		previous, _ = splitFileArg(arg)
		entries = append(entries, b.readFile(arg, "", nil)...)
	}
	return b.settingsOf(entries)
}

// readFile returns the entries of arg, which is FILE or FILE:SECTION. including are the args that led there, the line that asked for it
// is at where; both are empty for one named on the command line.
func (b *builder) readFile(arg, where string, including []string) []entry {
	if where != "" {
		where += ": "
	}
	if strings.ContainsFunc(arg, isControl) {
		b.fail(fmt.Errorf("%s%q: control character in a file name: rename it", where, arg))
		return nil
	}
	name, sections := splitFileArg(arg)
	data, err := b.read(name, maxFileSize)
	if b.filesRead++; err == nil && b.filesRead > maxFiles {
		err = fmt.Errorf("more than %d files: include fewer", maxFiles)
	}
	if err != nil {
		b.unread = true
		b.fail(fmt.Errorf("%s%s: cannot read: %w", where, name, cause(err)))
		return nil
	}
	if isHitch(name, data) {
		return b.parseHitch(name, data)
	}
	return b.parseINI(name, data, sections, append(including, arg))
}

// splitFileArg splits FILE:SECTION, unless there is a file with all of that as its name.
func splitFileArg(arg string) (name string, sections []string) {
	if _, err := os.Stat(arg); err == nil {
		return arg, ownSections
	}
	i := strings.LastIndexByte(arg, ':')
	if i < 1 || i == len(arg)-1 || strings.Contains(arg[i:], "/") {
		return arg, ownSections
	}
	return arg[:i], []string{arg[i+1:]}
}

// readBounded returns all of a file that has at most limit bytes.
func readBounded(name string, limit int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("more than %s bytes: name a smaller file", formatSize(limit))
	}
	return data, err
}

// parseINI returns the entries in those sections of data. ini.v1 keeps neither line numbers nor the order between keys, and
// uWSGI knows no value of several lines, so each line is given to it as a document of its own.
func (b *builder) parseINI(name string, data []byte, sections, including []string) []entry {
	var entries []entry
	var inside, outside, found bool // of those sections; of all sections
	outside = true
	for i, line := range bytes.Split(data, []byte("\n")) {
		source := fmt.Sprintf("%s:%d", name, i+1)
		doc, err := ini.LoadSources(uwsgiRules, line)
		if err != nil {
			b.fail(fmt.Errorf("%s: cannot read %q: write key = value or [section]", source, maskLine(bytes.TrimSpace(line))))
			continue
		}
		last := doc.Sections()[len(doc.Sections())-1]
		if isHeader(line) {
			inside, outside = slices.Contains(sections, last.Name()), false
			found = found || inside
			b.sectionsRead++
		}
		for _, key := range last.Keys() {
			if outside {
				b.config.Warnings = append(b.config.Warnings,
					fmt.Sprintf("%s: %q stands before the first section: ignored", source, key.Name()))
			}
			if !inside {
				continue
			}
			_, written, hasValue := strings.Cut(string(line), "=")
			e := entry{key: key.Name(), source: source, file: name, section: b.sectionsRead, literal: isQuoted(written)}
			if hasValue { // of one without, ini.v1 says "true"
				e.value = key.Value()
			}
			entries = append(entries, b.include(e, including)...)
		}
	}
	if !found {
		b.fail(fmt.Errorf("%s: no section [%s]: write one above the options", name, strings.Join(sections, "] or [")))
	}
	return entries
}

// include returns what e stands for: itself, or the entries of the file that it includes.
func (b *builder) include(e entry, including []string) []entry {
	switch e.key {
	case "set", "set-placeholder", "set-ph":
		e.defines = e.key != "set"
		key, value, ok := strings.Cut(e.value, "=")
		if !ok || strings.TrimSpace(key) == "" {
			b.fail(fmt.Errorf("%s: %s: incomplete: write NAME=VALUE", e.source, e.key))
			return nil
		}
		e.key, e.value = strings.TrimSpace(key), strings.TrimSpace(value)
		return []entry{e}
	case "ini":
	default:
		return []entry{e}
	}
	arg, err := b.expandName(e)
	if strings.HasPrefix(arg, ":") {
		arg = e.file + arg
	}
	switch {
	case err != nil:
	case arg == "":
		err = errors.New("no value: write FILE, FILE:SECTION or :SECTION")
	case slices.ContainsFunc(including, func(other string) bool { return filepath.Clean(other) == filepath.Clean(arg) }):
		err = errors.New("includes itself: remove it")
	case len(including) >= maxIncludeDepth:
		err = fmt.Errorf("more than %d files inside each other: include fewer", maxIncludeDepth)
	default:
		return b.readFile(arg, e.source, including)
	}
	b.fail(fmt.Errorf("%s: ini = %q: %w", e.source, e.value, err))
	return nil
}

// settingsOf gives variables their values and finds the options that entries mean.
func (b *builder) settingsOf(entries []entry) []setting {
	var settings []setting
	var unknown []entry
	x := newExpander(entries, b.read)
	merged := make(map[said]int)
	for _, e := range entries {
		o, known := b.meaning(e, x)
		if !known {
			unknown = append(unknown, e)
		}
		if o == nil {
			continue
		}
		value, err := x.value(e)
		s := setting{o, e.key, value, e.source}
		if err != nil {
			s.value = e.value
			b.reject(s, err)
			continue
		}
		if o == optionsByName[uwsgiOption] && e.key != uwsgiOption {
			s.value = e.key + "=" + value
		}
		// A section that stands again, as in uWSGI's own examples, does not double what the first has said.
		this := said{e.file, o, s.value}
		if _, again := merged[this]; !again {
			merged[this] = e.section
		}
		if !o.repeat || merged[this] == e.section {
			settings = append(settings, s)
		}
	}
	b.warnSetAgain(settings)
	for _, e := range unknown { // now that it is known which keys are variables
		if !x.used[e.key] {
			b.fail(unknownOption(e.source+": ", e.key))
		}
	}
	return settings
}

// warnSetAgain tells of values that do not count because a later line of the same file has another one. That of another file may
// well be meant to be replaced.
func (b *builder) warnSetAgain(settings []setting) {
	last := make(map[said]setting)
	for _, s := range settings {
		if s.option.repeat {
			continue
		}
		this := said{file: s.source[:strings.LastIndexByte(s.source, ':')], option: s.option}
		if former, again := last[this]; again && former.value != s.value {
			b.warnf(former, "no effect: it is set again at %s", s.source)
		}
		last[this] = s
	}
}

// said is what a file says.
type said struct {
	file   string
	option *option
	value  string
}

// meaning returns the option that takes e, which is nil for a key that only sets a variable or does nothing. Whether a key that is not
// known is a variable, all others must tell.
func (b *builder) meaning(e entry, x *expander) (o *option, known bool) {
	switch {
	case e.defines:
		return nil, true
	case e.option != nil:
		return e.option, true
	case optionsByName[e.key] != nil:
		b.noteOwn(e.source, e.key)
		return optionsByName[e.key], true
	}
	r := foreignRow(e.key, x.used[e.key])
	if r == nil {
		return nil, false
	}
	return b.foreign(e, r), true
}

// isHeader reports whether line begins a section.
func isHeader(line []byte) bool {
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")) // the byte order mark, which ini.v1 skips too
	return bytes.HasPrefix(bytes.TrimSpace(line), []byte("["))
}

// isQuoted reports whether what was written behind "=" is to be taken as it stands.
func isQuoted(written string) bool {
	written = strings.TrimSpace(written)
	return strings.HasPrefix(written, "`") || strings.HasPrefix(written, `"""`)
}

// quoteINI returns value as it must be written in a file to be read back unchanged.
func quoteINI(value string) string {
	if strings.TrimSpace(value) != value || isQuoted(value) || hasVariable(value) {
		return `"""` + value + `"""`
	}
	return value
}

// cause strips the operation and path that package os puts before an error.
func cause(err error) error {
	if pathError := new(fs.PathError); errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
