package http1

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// An Op is what a [Rule] does with the fields of one name.
type Op uint8

const (
	Set    Op = iota // replaces all of them by one
	Add              // adds one
	Remove           // removes all
)

// A Rule is an operator's change to one field.
type Rule struct {
	Op   Op
	Name string
	// Value may contain variables as ${NAME}. A field whose value comes out empty is not sent; Set
	// removes the existing ones all the same.
	Value string
}

// Rules are the changes to the fields of requests on their way to a backend, or of responses on
// their way to a client. They are made once, are immutable, and work without allocating. A nil
// *Rules changes nothing.
//
// Names are compared as recipients do that know only letters and digits, so X_A and X!A equal X-A:
// a client cannot place its own field beside one that Set has written or Remove has removed.
type Rules struct {
	drops   []string // names, folded
	lengths uint64   // has a bit for each of their lengths, the last for all longer ones
	lines   []ruleLine
	kinds   [masked + 1]bool // of drops
}

// ruleLine is a field to be sent.
type ruleLine struct {
	name  string
	start string // of the line: the name, a colon and a space
	parts []part
}

// part is a text and the variable that follows it.
type part struct {
	text     string
	variable variable
}

// NewRules prepares rules; each works on the result of those before it. For an empty list it
// returns nil.
func NewRules(list []Rule) (*Rules, error) {
	if len(list) == 0 {
		return nil, nil
	}
	r := new(Rules)
	for _, rule := range list {
		if err := r.add(rule); err != nil {
			return nil, fmt.Errorf("%s: %w", rule.Name, err)
		}
	}
	return r, nil
}

func (r *Rules) add(rule Rule) error {
	name := []byte(rule.Name)
	if len(name) == 0 || span(name, 0, isToken) != len(name) {
		return errFieldName
	}
	k := kindOf(name)
	switch {
	case k == host, k == contentLength, k == expect, k >= firstHopByHop:
		return errors.New("the gateway sets it itself, or one that some servers take for it")
	case rule.Op != Add:
		r.drop(name, k)
	}
	if rule.Op == Remove {
		return nil
	}
	line := ruleLine{name: rule.Name, start: rule.Name + ": "}
	for rest := rule.Value; rest != ""; {
		text, after, found := strings.Cut(rest, "${")
		p := part{text: text}
		if valueEnd([]byte(text), 0) != len(text) {
			return errFieldValue
		}
		if rest = after; found {
			name, after, closed := strings.Cut(after, "}")
			if p.variable = variables[name]; !closed || p.variable == noVariable {
				return fmt.Errorf("unknown variable %q", name)
			}
			rest = after
		}
		line.parts = append(line.parts, p)
	}
	r.lines = append(r.lines, line)
	return nil
}

// drop removes fields of a name, including those that an earlier rule would send.
func (r *Rules) drop(name []byte, k kind) {
	fold := make([]byte, len(name))
	for i, b := range name {
		fold[i] = folded[b]
	}
	r.drops = append(r.drops, string(fold))
	r.lengths |= 1 << min(len(name), 63)
	r.kinds[k] = k != other
	r.lines = slices.DeleteFunc(r.lines, func(l ruleLine) bool {
		return isFolded(l.name,
			string(fold))
	})
}

// isFolded reports whether a name equals a folded one, comparing as recipients do that know only
// letters and digits.
func isFolded[N string | []byte](name N, fold string) bool {
	if len(name) != len(fold) {
		return false
	}
	for i := range len(name) {
		if folded[name[i]] != fold[i] {
			return false
		}
	}
	return true
}

// Drops reports whether fields of a name are not passed on.
func (r *Rules) Drops(name []byte) bool {
	return r != nil && r.lengths>>min(len(name), 63)&1 != 0 && r.dropped(name)
}

func (r *Rules) dropped(name []byte) bool {
	for _, fold := range r.drops {
		if isFolded(name, fold) {
			return true
		}
	}
	return false
}

// writes reports whether the rules decide about fields of a kind.
func (r *Rules) writes(k kind) bool { return r != nil && r.kinds[k] }

// Len is the number of fields to send.
func (r *Rules) Len() int {
	if r == nil {
		return 0
	}
	return len(r.lines)
}

// Name returns the name of the ith field to send, as the operator wrote it.
func (r *Rules) Name(i int) string { return r.lines[i].name }

// AppendValue appends the value of the ith field for the nth request of a connection, or its
// response. If it appends nothing, the field is not to be sent. f needs only the facts that the
// rules' variables use, and may be nil if they use none.
func (r *Rules) AppendValue(dst []byte, i int, f *Facts, nth uint32) []byte {
	for _, p := range r.lines[i].parts {
		dst = append(dst, p.text...)
		if p.variable != noVariable && f != nil {
			dst = p.variable.append(dst, f, nth)
		}
	}
	return dst
}

// append appends the fields to send as lines.
func (r *Rules) append(dst []byte, f *Facts, nth uint32) []byte {
	for i := range r.Len() {
		start := len(dst)
		dst = append(dst, r.lines[i].start...)
		empty := len(dst)
		if dst = r.AppendValue(dst, i, f, nth); len(dst) == empty {
			dst = dst[:start]
			continue
		}
		dst = append(dst, "\r\n"...)
	}
	return dst
}
