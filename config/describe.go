package config

import "slices"

// An Option describes an option for the manual and for completion.
type Option struct {
	Name     string
	Aliases  []string
	Group    string // heading of the help
	Form     string // what a value looks like
	Default  string // the same on every machine; empty: not set
	Optional bool   // a missing value means true; a value that is written follows =
	Repeat   bool   // it may stand several times
	Help     string
}

// Options returns all options, those of a group together, in the order of the help.
func Options() []Option {
	list := make([]Option, len(options))
	for i := range options {
		o := &options[i]
		list[i] = Option{
			o.name, slices.Clone(o.aliases), o.group, o.form, o.byDefault, o.optional,
			o.repeat, o.help,
		}
		if o.name == "http-processes" || o.name == "key-workers" {
			list[i].Default = "the cores"
		}
	}
	return list
}
