package book

import (
	"regexp"
	"strings"
	"testing"
)

// background is what programs in the background and the shell print at any time.
var background = regexp.MustCompile(`^(time=\S+ level=|reprise: warning: |\S*: line \d+: +\d+ (Terminated|Killed))`)

// matches says whether lines are those that a page shows.
func matches(want, lines []string) bool {
	if len(want) == 0 {
		return allBackground(lines)
	}
	if strings.TrimSpace(want[0]) == "..." {
		for skipped := range len(lines) + 1 {
			if matches(want[1:], lines[skipped:]) {
				return true
			}
		}
		return false
	}
	if len(lines) == 0 {
		return false
	}
	if lineMatches(want[0], lines[0]) && matches(want[1:], lines[1:]) {
		return true
	}
	return background.MatchString(lines[0]) && matches(want, lines[1:])
}

func allBackground(lines []string) bool {
	for _, line := range lines {
		if !background.MatchString(line) {
			return false
		}
	}
	return true
}

func lineMatches(want, line string) bool {
	parts := strings.Split(strings.TrimRight(want, " "), "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(strings.TrimRight(line, " \r"))
}

// TestMatches: what a page shows is taken by the word, but for the three dots and for what
// programs in the background say.
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
