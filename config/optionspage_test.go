package config

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestOptionsPageIsCurrent: docs/operations/every-option.md lists each option by subject.
func TestOptionsPageIsCurrent(t *testing.T) {
	const file = "../docs/operations/every-option.md"
	if *update {
		if err := os.WriteFile(file, optionsPage(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, optionsPage()) {
		t.Errorf("%s is stale: go test ./config -run OptionsPage -update", file)
	}
}

// optionsPage writes the page from the table of options.
func optionsPage() []byte {
	var page bytes.Buffer
	page.WriteString(`# Every option

*To look things up: there is nothing to run.* This page is generated from the table that the program itself uses:
` + "`go test ./config -run OptionsPage -update`" + ` writes it anew. ` + "`reprise --help`" + ` prints the same.

Each is an option of the command line (` + "`--NAME VALUE`" + `) and a key of the file (` + "`NAME = VALUE`" + ` under ` + "`[reprise]`" + `
or ` + "`[uwsgi]`" + `). ADDR is host:port, :port, [v6]:port or /unix/path. DURATION is seconds, or such as 250ms or 2m. SIZE is
bytes, or such as 64k, 16m or 1g. An option with * may stand several times. What a reload changes is in
[reload.md](reload.md), options of uWSGI and hitch are in [MIGRATING.md](../MIGRATING.md).
`)
	group := ""
	for i := range options {
		o := &options[i]
		if o.group != group {
			group = o.group
			fmt.Fprintf(&page, "\n## %s\n\n| option | value | default | what it does |\n|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", optionNames(o), cell(o.form), defaultOf(o), cell(o.help))
	}
	page.WriteString(`
## Options of earlier releases

They are read, and a warning says this:

| option | |
|---|---|
`)
	for i := range goneOptions {
		fmt.Fprintf(&page, "| `%s` | %s |\n", goneOptions[i].name, cell(goneOptions[i].help))
	}
	return page.Bytes()
}

func optionNames(o *option) string {
	names := "`" + strings.Join(append([]string{o.name}, o.aliases...), "`, `") + "`"
	if o.repeat {
		names += "*"
	}
	return names
}

// defaultOf returns the default of an option, the same on every machine.
func defaultOf(o *option) string {
	switch {
	case o.byDefault == "":
		return ""
	case slices.Contains([]string{"http-processes", "key-workers"}, o.name):
		return "the cores"
	default:
		return "`" + o.byDefault + "`"
	}
}

// cell is text as a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(text)
}
