package supervise

import (
	"slices"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, test := range []struct {
		name, output string
		want         []string
	}{
		{"lines", "one\ntwo\n", []string{"one", "two"}},
		{"no newline at the end", "one\ntwo", []string{"one", "two"}},
		{"CRLF, empty lines", "one\r\n\n\r\ntwo\n", []string{"one", "two"}},
		{"as long as can be", long + "\nshort\n", []string{long, "short"}},
		{"longer", long + long + "rest\nshort", []string{long, long, "rest", "short"}},
		{"nothing", "", nil},
	} {
		for _, size := range []int{1, 7, maxLine - 1, maxLine, maxLine + 1, 1 << 20} {
			var got []string
			l := lines{log: func(line string) { got = append(got, line) }}
			for chunk := range slices.Chunk([]byte(test.output), size) {
				if n, err := l.Write(chunk); n != len(chunk) || err != nil {
					t.Fatalf("%s: got %d, %v", test.name, n, err)
				}
			}
			l.flush()
			if !slices.Equal(got, test.want) {
				t.Errorf("%s in writes of %d: got %q, want %q", test.name, size, got, test.want)
			}
			if cap(l.partial) > 2*maxLine {
				t.Errorf("%s: %d bytes are held", test.name, cap(l.partial))
			}
		}
	}
}
