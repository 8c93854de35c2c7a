package ini

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"reprise/config/source"
	"reprise/config/suggest"
	"reprise/config/values"
)

// Bounds on the values of variables: values that multiply each other are an error instead of
// exhausting memory.
const (
	maxValue    = 64 << 10 // of one value, and of a file in @(FILE)
	maxExpanded = 4 << 20  // of all values together
	maxOpen     = 100      // variables inside each other
)

// Variables gives the variables in values their values.
type Variables struct {
	entries map[string]source.Entry // by key; the first of each, as uWSGI has it
	values  map[string]string       // the value of %(key)
	// the keys being expanded, each inside the one before
	open  []string
	used  map[string]bool // the keys that stand in some %(key)
	size  int
	isURL func(key string) bool
	read  func(name string, limit int) ([]byte, error)
}

// NewVariables returns the variables that entries define. isURL reports whether a key's values are
// URLs; read reads a file that a value names.
func NewVariables(
	entries []source.Entry, isURL func(key string) bool, read func(string, int) ([]byte, error),
) *Variables {
	x := &Variables{
		entries: make(map[string]source.Entry), values: make(map[string]string),
		used: make(map[string]bool), isURL: isURL, read: read,
	}
	for _, e := range entries {
		if _, again := x.entries[e.Key]; !again {
			x.entries[e.Key] = e
		}
		for rest := e.Value; !e.Literal && rest != ""; {
			_, after, found := strings.Cut(rest, "%(")
			if name, _, closed := strings.Cut(after, ")"); found && closed {
				x.used[name] = true
			}
			rest = after
		}
	}
	return x
}

// Used reports whether key stands in some %(key).
func (x *Variables) Used(key string) bool { return x.used[key] }

// Value returns the value of e with all variables replaced.
func (x *Variables) Value(e source.Entry) (string, error) {
	if e.Literal {
		return e.Value, nil
	}
	value, err := x.replace(e, !x.isURL(e.Key)) // the percent signs in a URL are its own
	if x.size += len(value); err == nil && x.size > maxExpanded {
		err = fmt.Errorf("the values of all variables have more than %s bytes: use fewer",
			values.FormatSize(maxExpanded))
	}
	return value, err
}

// FileName is Value for the name of an included file, which is needed before the keys are known.
func FileName(e source.Entry, read func(string, int) ([]byte, error)) (string, error) {
	if e.Literal {
		return e.Value, nil
	}
	if strings.Contains(e.Value, "%(") {
		return "", errors.New("files are included before keys have values: " +
			"write %d for the directory of this file, or $(NAME)")
	}
	return NewVariables(nil, nil, read).replace(e, true)
}

// replace goes through the value of e once: the value of a variable is not expanded again.
func (x *Variables) replace(e source.Entry, magic bool) (string, error) {
	var out strings.Builder
	for rest := e.Value; rest != ""; {
		i := strings.IndexAny(rest, "$@%")
		if i < 0 {
			i = len(rest)
		}
		out.WriteString(rest[:i])
		if rest = rest[i:]; rest == "" {
			break
		}
		text, length, err := x.variable(e, rest, magic &&
			!beginsZone(e.Value[:len(e.Value)-len(rest)]))
		if err != nil {
			return "", err
		}
		out.WriteString(text)
		rest = rest[length:]
		if out.Len() > maxValue {
			return "", fmt.Errorf("with its variables it has more than %s bytes: shorten it",
				values.FormatSize(maxValue))
		}
	}
	return out.String(), nil
}

// variable returns the value of the variable at the beginning of s, and its length in s.
func (x *Variables) variable(e source.Entry, s string, magic bool) (text string, length int,
	err error,
) {
	if end := strings.IndexByte(s, ')'); len(s) > 1 && s[1] == '(' && end > 0 {
		name := s[2:end]
		switch s[0] {
		case '$':
			text, err = environment(name)
		case '@':
			text, err = x.contents(name)
		default:
			text, err = x.key(name)
		}
		return text, end + 1, err
	}
	if s[0] == '%' && len(s) > 1 && magic {
		if value := magics[s[1]]; value != nil {
			return value(e.File), 2, nil
		}
	}
	return s[:1], 1, nil
}

// beginsZone reports whether a percent sign behind this begins the zone of an IPv6 address, as in
// fe80::1%eth0.
func beginsZone(before string) bool {
	address := before[len(strings.TrimRight(before, "0123456789abcdefABCDEF:")):]
	return strings.Count(address, ":") > 1
}

// environment returns the value of $(NAME).
func environment(name string) (string, error) {
	if value, ok := os.LookupEnv(name); ok {
		return value, nil
	}
	var known []string
	for _, pair := range os.Environ() {
		key, _, _ := strings.Cut(pair, "=")
		known = append(known, key)
	}
	if near := suggest.Nearest(name, known); near != "" {
		return "", fmt.Errorf("no environment variable %q: did you mean %q?", name, near)
	}
	return "", fmt.Errorf("no environment variable %q: set it", name)
}

// contents returns the value of @(FILE).
func (x *Variables) contents(name string) (string, error) {
	if scheme, _, found := strings.Cut(name, "://"); found {
		return "", fmt.Errorf("@(%s://...) is not supported: name a file", scheme)
	}
	data, err := x.read(name, maxValue)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", name, source.Cause(err))
	}
	return strings.TrimSpace(string(data)), nil
}

// key returns the value of %(name).
func (x *Variables) key(name string) (string, error) {
	if value, known := x.values[name]; known {
		return value, nil
	}
	e, found := x.entries[name]
	switch {
	case !found && strings.ContainsAny(name, " +*/"):
		return "", fmt.Errorf("%%(%s): nothing is calculated: write the result", name)
	case !found:
		return "", x.undefined(name)
	case slices.Contains(x.open, name):
		return "", fmt.Errorf("%%(%s) contains itself, by way of %s: write one of them out", name,
			strings.Join(x.open, ", "))
	}
	if len(x.open) == maxOpen {
		return "", fmt.Errorf("%%(%s): more than %d variables inside each other: use fewer", name,
			maxOpen)
	}
	x.open = append(x.open, name)
	value, err := x.Value(e)
	x.open = x.open[:len(x.open)-1]
	if err == nil {
		x.values[name] = value
	}
	return value, err
}

func (x *Variables) undefined(name string) error {
	var known []string
	for key := range x.entries {
		known = append(known, key)
	}
	if near := suggest.Nearest(name, known); near != "" {
		x.used[near] = true // one fault, not two
		return fmt.Errorf("no key %q: did you mean %%(%s)?", name, near)
	}
	return fmt.Errorf("no key %q: write %s = VALUE in this section", name, name)
}

// magics are uWSGI's %c for a file, except those that differ at each start.
var magics = map[byte]func(file string) string{
	'%': func(string) string { return "%" },
	'c': func(file string) string { return filepath.Base(filepath.Dir(Absolute(file))) },
	'd': func(file string) string {
		return strings.TrimSuffix(filepath.Dir(Absolute(file)), "/") + "/"
	},
	'e': func(file string) string { return strings.TrimPrefix(filepath.Ext(file), ".") },
	'h': func(string) string { name, _ := os.Hostname(); return name },
	'k': func(string) string { return strconv.Itoa(runtime.GOMAXPROCS(0)) },
	'n': func(file string) string {
		return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	},
	'o': func(file string) string { return file },
	'p': Absolute,
	's': func(file string) string { return filepath.Base(file) },
	'u': func(string) string { return strconv.Itoa(os.Getuid()) },
	'v': func(string) string { return strings.TrimSuffix(Absolute("x"), "/x") },
}

// Absolute returns the path from the root, or file itself if the working directory is unknown.
func Absolute(file string) string {
	if path, err := filepath.Abs(file); err == nil {
		return path
	}
	return file
}
