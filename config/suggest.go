package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"reprise/config/suggest"
)

// unknownOption returns the error for an option that does not exist. name may start with "--";
// where goes before it.
func unknownOption(where, name string) error {
	bare := strings.TrimPrefix(name, "--")
	dashes := name[:len(name)-len(bare)]
	if near := suggest.Nearest(bare, ownNames()); near != "" {
		return fmt.Errorf("%sunknown option %q: did you mean %q?", where, name, dashes+near)
	}
	if r := uwsgiTable.Find(bare); dashes != "" && r.IsForeign() {
		note := r.Note
		if r.IsPassed() {
			note = fmt.Sprintf("write --%s %s=VALUE", uwsgiOption, bare)
		}
		return fmt.Errorf("unknown option %q, which is uWSGI's: %s", name, note)
	}
	if near := suggest.Nearest(bare, uwsgiTable.ForeignNames()); near != "" && dashes == "" {
		return fmt.Errorf("%sunknown option %q: did you mean %q?", where, name, near)
	}
	return fmt.Errorf("%sunknown option %q: reprise --help lists all", where, name)
}

// ownNames returns the names and aliases of all options.
func ownNames() []string { return slices.Collect(maps.Keys(optionsByName)) }
