package config

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/config/values"
)

// option is a row of the table from which flags, INI keys, help and the printed configuration are
// made.
type option struct {
	name      string
	aliases   []string                  // uWSGI's other names for it
	group     string                    // heading of the help
	form      string                    // what a value looks like: ADDR, SIZE ...
	byDefault string                    // as an operator would write it; empty: not set
	optional  bool                      // a missing value means true
	repeat    bool                      // may stand several times, and adds up
	help      string                    // what it is and when to touch it
	mask      func(value string) string // the part of a value that may be shown; nil: all
	set       func(b *builder, value string) error
}

// The groups, in the order of the help.
const (
	groupListen   = "Listeners"
	groupHTTP     = "HTTP"
	groupClients  = "Limits by client"
	groupSessions = "Sessions and caches"
	groupShare    = "Sharing sessions between nodes"
	groupObserve  = "Seeing what it does"
	groupLoops    = "Tuning: loops and buffers"
	groupTimers   = "Tuning: timers"
	groupLimits   = "Tuning: limits"
	groupProcess  = "Tuning: process and sockets"
)

// The forms that many options share.
const (
	boolForm     = "BOOL"
	durationForm = "DURATION"
	sizeForm     = "SIZE"
)

// week is the longest that any timer may be set to, and that a session may live (RFC 8446, Section
// 4.6.1).
const week = 7 * 24 * time.Hour

// cores is the number of cores this process may use, also inside a container with a quota.
var cores = strconv.Itoa(runtime.GOMAXPROCS(0))

// options are all rows; those of a group stand together.
var options = byGroup(slices.Concat(listenOptions, acmeOptions, httpOptions,
	poolOptions(HTTPRouter), subscriptionOptions, poolOptions(SSLRouter), poolOptions(RawRouter),
	limitOptions, sessionOptions, shareOptions, observeOptions, tuningOptions, privilegeOptions,
	uwsgiOptions, applicationOptions, socketFileOptions))

// optionsByName finds options by their names and aliases.
var optionsByName = byName(options)

func byName(options []option) map[string]*option {
	found := make(map[string]*option)
	for i := range options {
		o := &options[i]
		found[o.name] = o
		for _, alias := range o.aliases {
			found[alias] = o
		}
	}
	return found
}

// fill makes the set function of an option that sets one field, which keeps its default if the
// value is bad.
func fill[T any](field func(*Config) *T, parse func(string) (T, error)) func(*builder,
	string) error {
	return func(b *builder, value string) error {
		v, err := parse(value)
		if err == nil {
			*field(&b.config) = v
		}
		return err
	}
}

func boolean(field func(*Config) *bool) func(*builder, string) error {
	return fill(field, values.Bool)
}

func integer(low, high int, field func(*Config) *int) func(*builder, string) error {
	return fill(field, func(s string) (int, error) { return values.Int(s, low, high) })
}

func size(low, high int, field func(*Config) *int) func(*builder, string) error {
	return fill(field, func(s string) (int, error) { return values.Size(s, low, high) })
}

func duration(low, high time.Duration, field func(*Config) *time.Duration) func(*builder,
	string) error {
	return fill(field, func(s string) (
		time.Duration, error,
	) {
		return values.Duration(s, low, high)
	})
}

func address(field func(*Config) *Address) func(*builder, string) error {
	return fill(field, ParseAddress)
}

// namedValue is one value of an option with a fixed choice.
type namedValue[T any] struct {
	name  string
	value T
}

func named[T any](name string, value T) namedValue[T] { return namedValue[T]{name, value} }

func choice[T any](field func(*Config) *T, answers ...namedValue[T]) func(*builder, string) error {
	names := make([]string, len(answers))
	for i, v := range answers {
		names[i] = v.name
	}
	return fill(field, func(s string) (value T, err error) {
		i := slices.Index(names, s)
		if i < 0 {
			return value, fmt.Errorf("bad choice: write %s", strings.Join(names, " or "))
		}
		return answers[i].value, nil
	})
}
