package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/peers"
	"reprise/benchmarks/report"
	"reprise/internal/testpki"
)

// bench is one run of the harness. Its goroutine owns it.
type bench struct {
	options
	log io.Writer
	dir string // for temporary files

	cpus, serverCPUs, loadCPUs []int

	reprise, openssl, plain  string // binaries
	ecdsa, rsa               *testpki.Cert
	client                   *testpki.Cert // of clients
	clientCA                 string        // file
	ticketKey, ticketKeyText string        // files
	backend, backendH2       string        // addresses
	processes                []*process
	results                  report.Results
	noted                    map[string]bool
	waited                   time.Duration // for others to leave the cores alone
	missing                  []error       // what is not installed
}

// newBench builds and starts what all cases need. The caller closes it, even after an error.
func newBench(o options, log io.Writer) (*bench, error) {
	b := &bench{options: o, log: log, noted: make(map[string]bool)}
	var err error
	if b.results.Why, err = why("README.md"); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("", "reprise-bench-"); err != nil {
		return b, err
	}
	// servers that give up root read their files here
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return b, err
	}
	if err := b.divideCPUs(); err != nil {
		return b, err
	}
	if err := b.build(); err != nil {
		return b, err
	}
	if err := b.makeKeys(); err != nil {
		return b, err
	}
	if err := b.prefer(); err != nil {
		return b, err
	}
	if err := b.startBackends(); err != nil {
		return b, err
	}
	return b, b.describe()
}

func (b *bench) close() {
	for _, p := range b.processes {
		p.stop()
	}
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// divideCPUs gives servers the first core and everything else another one, so that neither takes
// time from the other.
func (b *bench) divideCPUs() (err error) {
	if b.cpus, err = load.ParentCPUs(); err != nil {
		return err
	}
	b.serverCPUs, b.loadCPUs = b.cpus[:1], b.cpus[1:]
	if len(b.cpus) == 1 {
		b.loadCPUs = b.cpus
		b.note("One core for servers, load generator and backend together: throughput and percentiles say little.")
	}
	return load.Affinity(b.loadCPUs...)
}

// prefer makes load generator and backend, if that is asked for, go before all else on their
// cores, and says whether they do.
func (b *bench) prefer() error {
	if !b.realtime {
		b.note("Load generator and backend ran in the normal scheduling class (-realtime was not given).")
		return nil
	}
	if len(b.cpus) == 1 {
		return errors.New("-realtime needs a core that servers do not have")
	}
	b.note("Load generator and backend ran at SCHED_FIFO, servers in the normal class; cases of all cores were left out.")
	return load.Realtime()
}

// build makes the binaries that are not installed. Those of Reprise are the repository's unless
// others are given.
func (b *bench) build() error {
	all := func(name string, args ...string) error {
		b.printf("%s %s\n", name, strings.Join(args, " "))
		if out, err := exec.Command("taskset",
			append([]string{"-c", cpuList(b.cpus), name},
				args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
		}
		return nil
	}
	b.plain, b.reprise, b.openssl = filepath.Join(b.dir, "plain"), b.repriseBinary, b.opensslBinary
	if err := all("go", "build", "-o", b.dir+"/", "./backend", "./cmd/load", "./peers/plain"); err != nil {
		return err
	}
	if b.reprise == "" {
		b.reprise = "../bin/reprise"
		if err := all("make", "-C", "..", "build"); err != nil {
			return err
		}
	}
	if b.openssl == "" {
		b.openssl = "../bin/reprise-openssl"
		if b.smoke { // it has no minute for cgo
			b.openssl = b.reprise
		} else if err := all("make", "-C", "..", "build-openssl"); err != nil {
			b.openssl = ""
			b.note("No OpenSSL build: " + err.Error())
		}
	}
	for _, binary := range []*string{&b.reprise, &b.openssl} {
		if *binary == "" {
			continue
		}
		path, err := filepath.Abs(*binary)
		if err != nil {
			return err
		}
		*binary = path
	}
	return nil
}

// makeKeys makes the files that all servers get: a certificate of each kind, and shared ticket
// keys.
func (b *bench) makeKeys() error {
	for name, cert := range map[string]struct {
		key testpki.KeyType
		to  **testpki.Cert
	}{"ecdsa": {testpki.ECDSA, &b.ecdsa}, "rsa": {testpki.RSA, &b.rsa}} {
		made, err := testpki.SelfSigned(testpki.Template{
			Names: []string{"localhost"},
			Key:   cert.key,
		})
		if err != nil {
			return err
		}
		if *cert.to, err = made.Write(b.dir, name); err != nil {
			return err
		}
	}
	ca, err := testpki.NewCA("clients")
	if err == nil {
		b.client, err = ca.Issue(testpki.Template{Names: []string{"client"}, Client: true})
	}
	if err != nil {
		return err
	}
	b.clientCA = filepath.Join(b.dir, "clients.pem")
	if err := os.WriteFile(b.clientCA, ca.CertPEM(), 0o644); err != nil {
		return err
	}
	// nginx takes one key of 80 bytes; HAProxy a list of them, of which the last but one encrypts.
	var key [3][80]byte
	var text []byte
	for i := range key {
		_, _ = rand.Read(key[i][:])
		text = append(base64.StdEncoding.AppendEncode(text, key[i][:]), '\n')
	}
	b.ticketKey, b.ticketKeyText = filepath.Join(b.dir, "ticket.key"),
		filepath.Join(b.dir, "tickets.txt")
	return errors.Join(os.WriteFile(b.ticketKey, key[0][:], 0o600),
		os.WriteFile(b.ticketKeyText, text, 0o600))
}

// run measures a case at all its points. A failed measurement becomes an invalid sample; an error
// means that the whole run has to end.
func (b *bench) run(ctx context.Context, c testcase) error {
	begin := time.Now()
	b.printf("%s: %s\n", c.Name, c.Title)
	b.results.Environment.Cases = append(b.results.Environment.Cases, c.Case)
	if _, err := exec.LookPath(cmp.Or(c.tool, "taskset")); err != nil {
		b.absent(fmt.Errorf("%s: %w", c.tool, peers.ErrNotInstalled))
		return nil
	}
	for _, point := range b.pointsOf(c) {
		if err := b.runPoint(ctx, c, point); err != nil {
			return err
		}
	}
	if !b.smoke {
		b.printf("  took %v of %v expected\n", time.Since(begin).Round(time.Second),
			b.expect(c).Round(time.Second))
	}
	return nil
}

// A contestant is a server of a case. It runs for all rounds, or for each anew.
type contestant struct {
	peer peers.Peer
	*server
}

func (b *bench) runPoint(ctx context.Context, c testcase, point int) error {
	var all []*contestant
	defer func() {
		for _, s := range all {
			if s.server != nil {
				s.stop()
			}
		}
	}()
	for _, p := range b.peersOf(c) {
		s := &contestant{peer: p}
		if !c.fresh && !b.begin(c, s, point, 1) {
			continue
		}
		all = append(all, s)
	}
	for round := 1; round <= b.rounds; round++ {
		for _, s := range all { // A B C A B C: a temporary disturbance of the machine affects all
			if round > b.roundsOf(c, s.peer) {
				continue // which the column of rounds shows
			}
			if c.fresh && !b.begin(c, s, point, round) {
				continue
			}
			b.measure(ctx, c, s, point, round)
			if c.fresh && s.server != nil {
				s.stop()
				s.server = nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// peersOf lists the servers that take part in c and are able to.
func (b *bench) peersOf(c testcase) []peers.Peer {
	if c.peers == nil {
		return []peers.Peer{{Name: "reprise"}}
	}
	return slices.DeleteFunc(peers.All(), func(p peers.Peer) bool {
		switch {
		case !c.peers(p) || b.only != nil && !b.only.MatchString(p.Name) || p.P256 && !c.setup.p256:
			return true
		case c.setup.h2 && p.NoALPN, (c.setup.h2 || c.setup.h2c) && b.backendH2 == "":
			return true
		case p.Name == "reprise-openssl":
			return b.openssl == ""
		case p.Name == "reprise-http":
			return !b.hasHTTP()
		}
		return false
	})
}

// begin starts a contestant, and notes if it is missing or does not start.
func (b *bench) begin(c testcase, s *contestant, point, round int) bool {
	if c.peers == nil {
		return true
	}
	nodes := 1
	if c.nodes != nil {
		nodes = c.nodes(point)
	}
	u := c.setup
	if c.sessions != nil {
		u.sessions = c.sessions(point)
	}
	var err error
	if s.server, err = b.start(s.peer, u, nodes); err == nil {
		return true
	}
	switch {
	case errors.Is(err, peers.ErrNotInstalled):
		b.absent(err)
		return false
	case errors.Is(err, errNoNamespaces):
		b.note(c.Name + " is not measured: " + errNoNamespaces.Error() + ".")
		return false
	}
	b.add(c, s, point, round, report.Sample{Invalid: "did not start: " + err.Error()})
	return false
}

func (b *bench) measure(ctx context.Context, c testcase, s *contestant, point, round int) {
	b.awaitQuiet(ctx)
	sample := b.sample(ctx, c, s, point)
	if b.smoke && sample.Invalid != "" { // its moments are short for a busy machine
		sample = b.sample(ctx, c, s, point)
	}
	if ctx.Err() == nil { // else it is half a measurement
		b.add(c, s, point, round, sample)
	}
}

func (b *bench) sample(ctx context.Context, c testcase, s *contestant, point int) report.Sample {
	sample, err := c.measure(ctx, b, s.server, point)
	if err != nil {
		sample.Invalid = err.Error()
	}
	return sample
}

func (b *bench) add(c testcase, s *contestant, point, round int, sample report.Sample) {
	sample.Case, sample.Point, sample.Round, sample.Server, sample.OpenSSL = c.Name, point, round,
		s.peer.Name, s.peer.OpenSSL
	b.results.Samples = append(b.results.Samples, sample)
	state := ""
	if sample.Invalid != "" {
		state = "INVALID: " + sample.Invalid
	}
	b.printf("  %-14s %6d #%d %10.2f %s %s\n", s.peer.Name, point, round, sample.Figure, c.Unit,
		state)
}

// absent records a program that is not installed.
func (b *bench) absent(err error) {
	if !b.noted[err.Error()] {
		b.missing = append(b.missing, err)
	}
	b.note(err.Error())
}

func (b *bench) note(text string) {
	if !b.noted[text] {
		b.noted[text] = true
		b.results.Environment.Notes = append(b.results.Environment.Notes, text)
		b.printf("note: %s\n", text)
	}
}

// noteNoise notes if other programs used the machine.
func (b *bench) noteNoise() {
	disturbed, worst := 0, 0.0
	for _, s := range b.results.Samples {
		if s.Others > 0.1 {
			disturbed++
		}
		worst = max(worst, s.Others)
	}
	if disturbed > 0 && !b.smoke { // measures less than a clock tick
		b.note(fmt.Sprintf(
			"In %d of %d measurements other programs took more than a tenth of the servers' core, up to %.0f %%: percentiles and throughput mean little, ratios of CPU time less than usual.",
			disturbed, len(b.results.Samples), 100*worst))
	}
}

func (b *bench) printf(format string, args ...any) { fmt.Fprintf(b.log, format, args...) }
