package http1

import (
	"bytes"
	"slices"
)

// section is the result of a head's known fields, each by its last line.
type section struct {
	host, length, coding, expect, upgrade                []byte
	hosts, lengths, codings, expects, upgrades, hopLists int
}

// parse reads the field lines in p, up to and including the empty line, and
// appends them to fields.
func (s *section) parse(p []byte, fields []Field, l *Limits) ([]Field, error) {
	for i := 0; ; {
		if i+2 == len(p) && p[i] == '\r' && p[i+1] == '\n' {
			return fields, nil
		}
		if len(fields) >= l.FieldLen {
			return fields, errFieldLen
		}
		fields = slices.Grow(fields, 1)[:len(fields)+1] // parse it in place: it is large
		f := &fields[len(fields)-1]
		n, err := f.parse(p[i:])
		if err != nil {
			return fields, err
		}
		s.note(f)
		i += n
	}
}

// onlyHost returns the one valid Host, nil if there is none.
func (s *section) onlyHost() []byte {
	if s.hosts != 1 || hostNameLen(s.host) == 0 {
		return nil
	}
	return s.host
}

func (s *section) note(f *Field) {
	switch f.kind {
	case host:
		s.host = f.Value
		s.hosts++
	case contentLength:
		s.length = f.Value
		s.lengths++
	case transferEncoding:
		s.coding = f.Value
		s.codings++
	case expect:
		s.expect = f.Value
		s.expects++
	case upgrade:
		s.upgrade = f.Value
		s.upgrades++
	case connection:
		s.hopLists++
	}
}

// options is what the Connection fields of a head ask for.
type options struct{ close, keepAlive, upgrade bool }

// maxOptions bounds how often all fields are searched for those that Connection fields name.
const maxOptions = 32

// options reads the Connection fields and marks the fields that they name.
func (s *section) options(fields []Field) (o options, err error) {
	if s.hopLists == 0 {
		return o, nil
	}
	count := 0
	for i := range fields {
		if fields[i].kind != connection {
			continue
		}
		for list := fields[i].Value; len(list) > 0; {
			var option []byte
			if option, list = cutElement(list); len(option) == 0 {
				continue
			}
			if count++; count > maxOptions {
				return o, errOptions
			}
			o.note(option, fields)
		}
	}
	return o, nil
}

func (o *options) note(option []byte, fields []Field) {
	switch {
	case equalFold(option, "close"):
		o.close = true
	case equalFold(option, "keep-alive"):
		o.keepAlive = true
	case equalFold(option, "upgrade"):
		o.upgrade = true
	default:
		for i := range fields {
			if f := &fields[i]; f.kind == other && len(f.Name) == len(option) &&
				bytes.EqualFold(f.Name, option) && !isEndToEnd(f.Name) {
				f.hop = true
			}
		}
	}
}
