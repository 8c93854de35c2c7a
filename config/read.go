package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"reprise/config/source"
	"reprise/config/source/hitch"
	"reprise/config/source/ini"
)

// Bounds on what a configuration may read, so that a loop of includes or a device file is an error.
const (
	maxFileSize     = 1 << 20
	maxIncludeDepth = 8
	maxFiles        = 100
)

// readFiles returns the settings of all files named on a command line.
func (b *builder) readFiles(args []string) []setting {
	var entries []source.Entry
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

// readFile returns the entries of arg, which is FILE or FILE:SECTION. including are the args that
// led there and where is the line that includes it; both are empty for a file named on the command
// line.
func (b *builder) readFile(arg, where string, including []string) []source.Entry {
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
		b.fail(fmt.Errorf("%s%s: cannot read: %w", where, name, source.Cause(err)))
		return nil
	}
	if hitch.Is(name, data) {
		return b.readHitch(name, data)
	}
	return b.readINI(name, data, sections, append(including, arg))
}

// splitFileArg splits FILE:SECTION, unless a file has all of that as its name.
func splitFileArg(arg string) (name string, sections []string) {
	if _, err := os.Stat(arg); err == nil {
		return arg, ini.OwnSections
	}
	i := strings.LastIndexByte(arg, ':')
	if i < 1 || i == len(arg)-1 || strings.Contains(arg[i:], "/") {
		return arg, ini.OwnSections
	}
	return arg[:i], []string{arg[i+1:]}
}

// readINI returns the entries of sections of an INI file, with those of the files that they
// include.
func (b *builder) readINI(name string, data []byte, sections, including []string) []source.Entry {
	f := ini.Parse(name, data, sections)
	b.errs = append(b.errs, f.Errors...)
	b.config.Warnings = append(b.config.Warnings, f.Warnings...)
	first := b.sectionsRead // of the first of this file
	b.sectionsRead += f.Sections
	var entries []source.Entry
	for _, e := range f.Entries {
		e.Section += first
		if e.Key == "ini" && !e.Defines {
			entries = append(entries, b.include(e, including)...)
		} else {
			entries = append(entries, e)
		}
	}
	return entries
}

// include returns the entries of the file that e names.
func (b *builder) include(e source.Entry, including []string) []source.Entry {
	arg, err := ini.FileName(e, b.read)
	if strings.HasPrefix(arg, ":") {
		arg = e.File + arg
	}
	isArg := func(other string) bool { return filepath.Clean(other) == filepath.Clean(arg) }
	switch {
	case err != nil:
	case arg == "":
		err = errors.New("no value: write FILE, FILE:SECTION or :SECTION")
	case slices.ContainsFunc(including, isArg):
		err = errors.New("includes itself: remove it")
	case len(including) >= maxIncludeDepth:
		err = fmt.Errorf("more than %d files inside each other: include fewer", maxIncludeDepth)
	default:
		return b.readFile(arg, e.Where(), including)
	}
	b.fail(fmt.Errorf("%s: ini = %q: %w", e.Where(), e.Value, err))
	return nil
}

// readHitch returns the entries that a file of hitch's means.
func (b *builder) readHitch(name string, data []byte) []source.Entry {
	f := hitch.Parse(name, data, b.serving)
	b.errs = append(b.errs, f.Errors...)
	b.unread = b.unread || len(f.Errors) > 0
	b.config.Warnings = append(b.config.Warnings, f.Warnings...)
	b.config.dirs = append(b.config.dirs, f.Dirs...)
	b.config.used = append(b.config.used, f.Used...)
	for _, u := range f.Unusable {
		b.unusable(u.File, u.Err)
	}
	return f.Entries
}

// settingsOf gives variables their values and finds the options that entries mean.
func (b *builder) settingsOf(entries []source.Entry) []setting {
	var settings []setting
	var unknown []source.Entry
	isURL := func(key string) bool { o := optionsByName[key]; return o != nil && o.mask != nil }
	x := ini.NewVariables(entries, isURL, b.read)
	merged := make(map[statement]int)
	for _, e := range entries {
		o, known := b.meaning(e, x)
		if !known {
			unknown = append(unknown, e)
		}
		if o == nil {
			continue
		}
		value, err := x.Value(e)
		s := setting{o, e.Key, value, e.Where()}
		if err != nil {
			s.value = e.Value
			b.reject(s, err)
			continue
		}
		if o == optionsByName[uwsgiOption] && e.Key != uwsgiOption {
			s.value = e.Key + "=" + value
		}
		// A repeated section, as in uWSGI's own examples, does not double the settings of the first.
		this := statement{e.File, o, s.value}
		if _, again := merged[this]; !again {
			merged[this] = e.Section
		}
		if !o.repeat || merged[this] == e.Section {
			settings = append(settings, s)
		}
	}
	b.warnSetAgain(settings)
	for _, e := range unknown { // all variables are known now
		if !x.Used(e.Key) {
			b.fail(unknownOption(e.Where()+": ", e.Key))
		}
	}
	return settings
}

// warnSetAgain warns of values that a later line of the same file replaces. A value from another
// file may be meant to be replaced.
func (b *builder) warnSetAgain(settings []setting) {
	last := make(map[statement]setting)
	for _, s := range settings {
		if s.option.repeat {
			continue
		}
		this := statement{file: s.source[:strings.LastIndexByte(s.source, ':')], option: s.option}
		if former, again := last[this]; again && former.value != s.value {
			b.warnf(former, "no effect: it is set again at %s", s.source)
		}
		last[this] = s
	}
}

// statement is one setting of a file, to find repeated ones.
type statement struct {
	file   string
	option *option
	value  string
}

// meaning returns the option that takes e, which is nil for a key that only sets a variable or does
// nothing. Only all the other entries show whether an unknown key is a variable.
func (b *builder) meaning(e source.Entry, x *ini.Variables) (o *option, known bool) {
	switch {
	case e.Defines:
		return nil, true
	case e.Option != "":
		o = optionsByName[e.Option]
		return o, o != nil
	case optionsByName[e.Key] != nil:
		b.noteOwn(e)
		return optionsByName[e.Key], true
	case goneByName[e.Key] != nil:
		b.note(e, goneRow(goneByName[e.Key]))
		return goneByName[e.Key], true
	}
	r := foreignRow(e.Key, x.Used(e.Key))
	if r == nil {
		return nil, false
	}
	return b.foreign(e, r), true
}
