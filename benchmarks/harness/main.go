// Command harness measures Reprise beside the alternative servers: same machine, same certificate,
// same backend, in turns. It is run from the directory benchmarks:
//
//	go run ./harness                        everything, less than 45 minutes; it says how long
//	go run ./harness -continue              what is missing of today's results
//	go run ./harness -case resumed13        one case; a regular expression
//	go run ./harness -smoke                 every case for a moment: does it still run?
//	go run ./harness -report DIR            make table and plots of DIR again
//	go run ./harness -report DIR -readme ../README.md
//
// A case is a question (cases.go), a server is a template in ../peers, and ../load makes the
// measurements. Results go to -out in the format of package report. Anything that contradicts the
// case (errors, a full handshake where a resumed one was to be measured, another cipher suite)
// makes a measurement invalid; it is then shown, and not counted.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"reprise/benchmarks/report"
)

// options are the command line.
type options struct {
	only, match   *regexp.Regexp // nil is all
	rounds        int
	duration      time.Duration // of one measurement
	limit         time.Duration
	goOn, smoke   bool
	realtime      bool
	out           string
	repriseBinary string
	opensslBinary string
	report        string
	readme        string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "harness:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	if o.report != "" {
		return again(o)
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	b, err := newBench(o, log)
	defer b.close()
	if err != nil {
		return err
	}
	if o.goOn {
		if err := b.goOn(); err != nil {
			return err
		}
	}
	wanted := slices.DeleteFunc(cases(), func(c testcase) bool {
		return o.match != nil && !o.match.MatchString(c.Name) || b.measured(c) ||
			b.realtime && c.setup.allCores // where servers would starve
	})
	slices.SortStableFunc(wanted, func(a, b testcase) int { // if time is short, aims come first
		return cmp.Compare(b.aims(), a.aims())
	})
	if !o.smoke {
		expected := b.expectAll(wanted)
		b.printf("%d cases take about %v on a quiet machine, until %s\n", len(wanted),
			expected.Round(time.Second), time.Now().Add(expected).Format(time.TimeOnly))
	}
	for i, c := range wanted {
		if err = b.run(ctx, c); err != nil {
			b.forget(c) // -continue measures a half-measured case again
			b.note("Ended early: cases after " + c.Name + " are missing.")
			break
		}
		if o.out != "" {
			err = errors.Join(err, b.results.Write(o.out)) // so that -continue finds it
		}
		if !o.smoke {
			b.printf("  about %v left\n", b.expectAll(wanted[i+1:]).Round(time.Second))
		}
	}
	if len(b.results.Environment.Cases) == 0 {
		return fmt.Errorf("no case is called %v", o.match)
	}
	b.noteNoise()
	if o.out != "" {
		err = errors.Join(err, b.results.Write(o.out))
		b.printf("results are in %s\n", o.out)
	}
	if o.smoke {
		err = errors.Join(err, b.smoked())
	}
	return err
}

func parse(args []string, log io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("harness", flag.ContinueOnError)
	flags.SetOutput(log)
	pattern := func(to **regexp.Regexp) func(string) error {
		return func(text string) (err error) {
			*to, err = regexp.Compile("^(?:" + text + ")$")
			return err
		}
	}
	flags.Func("case", "`regexp` of the cases to run", pattern(&o.match))
	flags.Func("server", "`regexp` of the servers to measure", pattern(&o.only))
	flags.IntVar(&o.rounds, "rounds", 5, "how `often` each server is measured")
	flags.DurationVar(&o.duration, "duration", 1200*time.Millisecond, "`length` of one measurement")
	flags.DurationVar(&o.limit, "limit", 45*time.Minute,
		"`bound` on everything; what has been measured until then is kept")
	flags.BoolVar(&o.goOn, "continue", false,
		"leave out the cases that -out has already, of the same commit, and add the others")
	flags.BoolVar(&o.smoke, "smoke", false,
		"measure everything for a moment and judge no figure; fail if a server does not work")
	flags.BoolVar(&o.realtime, "realtime", false,
		"load generator and backend at SCHED_FIFO: on two cores what spins there starves all else")
	flags.StringVar(&o.out, "out", "",
		"`directory` for the results (default results/DATE, with -smoke none)")
	flags.StringVar(&o.repriseBinary, "reprise", "",
		"`binary` to measure instead of what make build builds")
	flags.StringVar(&o.opensslBinary, "reprise-openssl", "",
		"`binary` to measure instead of what make build-openssl builds")
	flags.StringVar(&o.report, "report", "",
		"make table and plots of this `directory` again, and measure nothing")
	flags.StringVar(&o.readme, "readme", "",
		"with -report: document whose `file` has sections of figures to replace")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q: there are only flags, see -help", flags.Arg(0))
	}
	if o.rounds < 1 || o.duration <= 0 {
		return o, errors.New("-rounds and -duration must be positive")
	}
	switch {
	case o.smoke:
		o.rounds, o.duration = 1, 50*time.Millisecond
	case o.out == "":
		o.out = filepath.Join("results", time.Now().Format(time.DateOnly))
	}
	return o, nil
}

// again makes everything that follows from the samples anew.
func again(o options) error {
	r, err := report.Read(o.report)
	if err != nil {
		return err
	}
	if r.Why, err = why("README.md"); err != nil {
		return err
	}
	if err := r.Write(o.report); err != nil || o.readme == "" {
		return err
	}
	return r.Update(o.readme, o.report)
}

// why is what a file says of aims that are missed: the section of that name.
func why(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(string(text), "\n## Where an aim is missed\n")
	if !found {
		return "", fmt.Errorf("%s has no section called Where an aim is missed", file)
	}
	section, _, _ := strings.Cut(rest, "\n## ")
	return strings.TrimSpace(section), nil
}

// smoked fails if something could not be measured at all, in CI also if it was not installed.
func (b *bench) smoked() error {
	var failed []error
	if os.Getenv("CI") != "" {
		failed = b.missing
	}
	for _, s := range b.results.Samples {
		if s.Invalid != "" {
			failed = append(failed, fmt.Errorf("%s, %s: %s", s.Case, s.Server, s.Invalid))
		}
	}
	return errors.Join(failed...)
}
