package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"reprise/benchmarks/report"
)

// goOn loads the results in -out, if they are of this commit and machine.
func (b *bench) goOn() error {
	before, err := report.Read(b.out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now, then := &b.results.Environment, &before.Environment
	if now.Commit != then.Commit || now.CPU != then.CPU || now.CPULen != then.CPULen {
		return fmt.Errorf("%s is of commit %s on %d cores of %s: name another -out", b.out,
			then.Commit, then.CPULen, then.CPU)
	}
	now.Cases, b.results.Samples = then.Cases, before.Samples
	for _, note := range then.Notes {
		if !b.noted[note] {
			b.noted[note] = true
			now.Notes = append(now.Notes, note)
		}
	}
	return nil
}

// measured reports whether c has been measured by an earlier run, or in this one.
func (b *bench) measured(c testcase) bool {
	return slices.ContainsFunc(b.results.Environment.Cases,
		func(done report.Case) bool { return done.Name == c.Name })
}

// forget drops the samples of c.
func (b *bench) forget(c testcase) {
	e := &b.results.Environment
	e.Cases = slices.DeleteFunc(e.Cases, func(done report.Case) bool { return done.Name == c.Name })
	b.results.Samples = slices.DeleteFunc(b.results.Samples,
		func(s report.Sample) bool { return s.Case == c.Name })
}
