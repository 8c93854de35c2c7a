package ini

import (
	"fmt"
	"strings"
	"testing"
)

// A line means what it means to uWSGI.
func TestLines(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a key and its value", "a = b", "3 a=b"},
		{"without blanks", "a=b", "3 a=b"},
		{"only the first = counts", "a = b = c", "3 a=b = c"},
		{"no value", "a\nb =", "3 a=, 4 b="},
		{"blanks around", "  a\t=  b \r", "3 a=b"},
		{"comments", "; a\n  # b\n\na = b", "6 a=b"},
		{"; and # in a value", "a = b ; c # d", "3 a=b ; c # d"},
		{"quotes of a shell", `a = "b" 'c'`, `3 a="b" 'c'`},
		{"triple quotes", `a = """ %(b) """`, "3 a= %(b)  (literal)"},
		{"backticks", "a = ` b`", "3 a= b (literal)"},
		{"triple quotes inside", `a = b """c"""`, `3 a=b """c"""`},
		{"a backslash at the end", `a = b \`, `3 a=b \`},
		{"a variable", "set = a=b\nset-ph = c = d", "3 a=b, 4 c=d (defined)"},
		{"another section", "[other]\na = b\n[uwsgi]\nc = d", "6 c=d"},
		{"a section again", "a = b\n[uwsgi]\na = b", "3 a=b, 5 a=b"},
		{"a section with more behind it", "[reprise] ; here\na = b", "4 a=b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := Parse("edge.ini", []byte(byteOrderMark+"# first\n[uwsgi]\n"+test.text), OwnSections)
			var got []string
			for _, e := range f.Entries {
				s := fmt.Sprintf("%d %s=%s", e.Line, e.Key, e.Value)
				if e.Literal {
					s += " (literal)"
				}
				if e.Defines {
					s += " (defined)"
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ", "); s != test.want || len(f.Errors)+len(f.Warnings) > 0 {
				t.Errorf("got %s, want %s; %v %v", s, test.want, f.Errors, f.Warnings)
			}
		})
	}
}

// An unreadable line is reported with its number, but without a password in it.
func TestUnreadableLines(t *testing.T) {
	for _, line := range []string{"= b", "[uwsgi", "[]", `a = """b`, "a = `", "[x redis://u:secret@h"} {
		f := Parse("edge.ini", []byte("[uwsgi]\n"+line), OwnSections)
		told := fmt.Sprint(f.Errors)
		if len(f.Errors) != 1 || !strings.HasPrefix(told, "[edge.ini:2: cannot read ") ||
			strings.Contains(told, "secret") || len(f.Entries) > 0 {
			t.Errorf("%q: got %v and %v", line, f.Errors, f.Entries)
		}
	}
}

// Quoted values are read back.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"a", " a ", "`a`", `"""`, `"""a`, "%d", "$(A)", "a = b", ";", "[a]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsAny(value, "\n\r") || strings.TrimSpace(value) == "" {
			return
		}
		l := readLine("key = " + Quote(value))
		if l.kind != assignment || l.value != value || !l.literal && hasVariable(value) {
			t.Errorf("%q is read as %+v", value, l)
		}
	})
}
