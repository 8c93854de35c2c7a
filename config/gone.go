package config

import (
	"reprise/config/migrate"
	"reprise/config/values"
)

// goneOptions are options of earlier releases that are none any more. They are read, so that a new
// release starts with what the last one was started with, and a warning says why they are gone.
var goneOptions = []option{
	gone("read-size", "one read takes 48k at most: uploads are a quarter dearer with 64k"),
	gone("gc-percent", "the heap grows by 400 percent: write memory-limit, or set $GOGC"),
	gone("http-max-fields", "a request has 1000 fields at most: http-max-header bounds their length"),
	gone("client-table", "there is room for 1000000 clients, or four times max-connections"),
	gone("access-log-queue", "8192 lines may wait: if that is too few, write access-log-sample"),
	gone("cache-udp-ring", "8192 changes may wait: if that is too few, CPU time is missing"),
	gone("cache-udp-buffer", "the kernel is asked for 4m: raise its net.core.rmem_max"),
	{
		name: "tcp-nodelay", form: boolForm, optional: true, help: goneNoDelay,
		set: func(b *builder, value string) error {
			on, err := values.Bool(value)
			if err == nil && !on {
				b.warnf(b.now, "no effect any more: %s", goneNoDelay)
			}
			return err
		},
	},
}

const goneNoDelay = "small segments are sent at once, always (TCP_NODELAY)"

// gone returns the row of an option that is gone.
func gone(name, why string) option {
	return option{name: name, form: "VALUE", help: why, set: func(b *builder, _ string) error {
		b.warnf(b.now, "no effect any more: %s", why)
		return nil
	}}
}

// goneByName finds them by name.
var goneByName = byName(goneOptions)

// goneRow is the verdict about one.
func goneRow(o *option) *migrate.Row {
	return &migrate.Row{Verdict: migrate.Warned, Note: "gone: " + o.help}
}
