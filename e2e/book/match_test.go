package book

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// background matches lines that programs in the background and the shell print at any time.
var background = regexp.MustCompile(`^(time=\S+ |reprise: warning: |\S*: line \d+: +\d+ (Terminated|Killed))`)

// matches reports whether lines are those that a page shows. Programs in the background may print
// more lines, in any order.
func matches(want, lines []string) bool {
	if !foregroundMatches(want, lines) {
		return false
	}
	wantBehind, _ := apart(want)
	behind, _ := apart(lines)
	for _, w := range wantBehind {
		at := slices.IndexFunc(behind, func(line string) bool { return lineMatches(w, line) })
		if at < 0 {
			return false
		}
		behind = slices.Delete(behind, at, at+1)
	}
	return true
}

// foregroundMatches is matches for what programs in the foreground print.
func foregroundMatches(want, lines []string) bool {
	_, want = apart(want)
	_, lines = apart(lines)
	return inOrder(want, lines)
}

// apart parts lines of programs in the background from the others.
func apart(lines []string) (behind, others []string) {
	for _, line := range lines {
		if background.MatchString(line) {
			behind = append(behind, line)
		} else {
			others = append(others, line)
		}
	}
	return behind, others
}

func inOrder(want, lines []string) bool {
	switch {
	case len(want) == 0:
		return len(lines) == 0
	case strings.TrimSpace(want[0]) == "...":
		return inOrder(want[1:], lines) || len(lines) > 0 && inOrder(want, lines[1:])
	default:
		return len(lines) > 0 && lineMatches(want[0], lines[0]) && inOrder(want[1:], lines[1:])
	}
}

func lineMatches(want, line string) bool {
	parts := strings.Split(strings.TrimRight(want, " "), "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(strings.TrimRight(line, " \r"))
}

// TestMatches: a page's lines are compared literally, except the three dots and the output of
// programs in the background.
func TestMatches(t *testing.T) {
	const log = "time=2026-11-22T19:34:54Z level=INFO msg=serving version=1"
	for _, test := range []struct {
		name  string
		want  string
		lines string
		match bool
	}{
		{"same", "a\nb", "a\nb", true},
		{"other", "a\nb", "a\nc", false},
		{"missing", "a\nb", "a", false},
		{"more", "a", "a\nb", false},
		{"dots in a line", "a ... c", "a b c", true},
		{"dots in a line, other end", "a ... c", "a b d", false},
		{"dots for lines", "a\n...\nc", "a\nb\nb\nc", true},
		{"dots for no line", "a\n...\nc", "a\nc", true},
		{"dots to the end", "a\n...", "a\nb", true},
		{"log between", "a\nb", "a\n" + log + "\nb\n" + log, true},
		{"log shown", "time=... level=INFO msg=serving ...\nb", log + "\nb", true},
		{"logs in another order", "time=... msg=b\ntime=... msg=a", "time=1 msg=a\ntime=2 msg=b", true},
		{"log shown twice", "time=... msg=a\ntime=... msg=a", "time=1 msg=a\ntime=2 msg=b", false},
		{"log shown and missing", "time=... level=INFO msg=serving ...", "a", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := matches(strings.Split(test.want, "\n"), strings.Split(test.lines, "\n"))
			if got != test.match {
				t.Errorf("%q, want %q: got %v", test.lines, test.want, got)
			}
		})
	}
}

// TestLinesOf: a line of a log in the middle of another line leaves that whole.
func TestLinesOf(t *testing.T) {
	const log = "time=2026-11-22T19:34:54Z level=INFO msg=serving version=1"
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"a\nb\n", []string{"a", "b"}},
		{"a\nb", []string{"a", "b"}},
		{"a\n\nb\n", []string{"a", "", "b"}},
		{"a " + log + "\nb\nc\n", []string{"a b", "c", log}},
		{log + "\n", []string{log}},
	} {
		if got := linesOf(test.text); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}
