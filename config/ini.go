package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"gopkg.in/ini.v1"
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

// readFile returns the settings of the INI file arg, which is FILE or FILE:SECTION.
func (b *builder) readFile(arg string) []setting {
	if strings.ContainsFunc(arg, isControl) {
		b.fail(fmt.Errorf("%q: control character in a file name: rename it", arg))
		return nil
	}
	name, sections := splitFileArg(arg)
	data, err := os.ReadFile(name)
	if err != nil {
		b.unread = true
		b.fail(fmt.Errorf("%s: cannot read: %w", name, cause(err)))
		return nil
	}
	return b.parseINI(name, data, sections)
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

// parseINI returns the settings in those sections of data. ini.v1 keeps neither line numbers nor the order between keys, and
// uWSGI knows no value of several lines, so each line is given to it as a document of its own.
func (b *builder) parseINI(name string, data []byte, sections []string) []setting {
	var settings []setting
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
		}
		for _, key := range last.Keys() {
			if outside {
				b.config.Warnings = append(b.config.Warnings,
					fmt.Sprintf("%s: %q stands before the first section: ignored", source, key.Name()))
			}
			if !inside {
				continue
			}
			value := key.Value()
			if !bytes.Contains(line, []byte("=")) {
				value = "" // ini.v1 says "true"
			}
			if o := optionsByName[key.Name()]; o != nil {
				settings = append(settings, setting{o, key.Name(), value, source})
			} else {
				b.fail(unknownOption(source+": ", key.Name()))
			}
		}
	}
	if !found {
		b.fail(fmt.Errorf("%s: no section [%s]: write one above the options", name, strings.Join(sections, "] or [")))
	}
	return settings
}

// isHeader reports whether line begins a section.
func isHeader(line []byte) bool {
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")) // the byte order mark, which ini.v1 skips too
	return bytes.HasPrefix(bytes.TrimSpace(line), []byte("["))
}

// quoteINI returns value as it must be written in a file to be read back unchanged.
func quoteINI(value string) string {
	if strings.TrimSpace(value) != value || strings.HasPrefix(value, "`") || strings.HasPrefix(value, `"""`) {
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
