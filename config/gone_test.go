package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestGoneOptions: a configuration of an earlier release is still read, from files and from the
// command line, and is told what has become of each option that is gone.
func TestGoneOptions(t *testing.T) {
	inPKI(t)
	for i := range goneOptions {
		o := &goneOptions[i]
		if optionsByName[o.name] != nil {
			t.Errorf("%s is an option", o.name)
		}
		for source, c := range map[string]*Config{
			fmt.Sprintf("edge.ini:4: %s = ", o.name): mustParse(t, good+o.name+" = 0\n"),
			fmt.Sprintf("--%s ", o.name):             mustParse(t, good, "--"+o.name+"=0"),
		} {
			if want := source + `"0": no effect any more: ` + o.help; !slices.Equal(c.Warnings, []string{want}) {
				t.Errorf("got %q, want %q", c.Warnings, want)
			}
		}
		var used strings.Builder
		if err := mustParse(t, good+o.name+" = 0\n").PrintMigration(&used); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(used.String(), "ignored with a warning  gone: "+o.help) {
			t.Errorf("check says of %s:\n%s", o.name, &used)
		}
	}
	if got := mustParse(t, good+"tcp-nodelay\n").Warnings; len(got) > 0 {
		t.Errorf("got %q of what is as it is wanted", got)
	}
}
