package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"reprise/benchmarks/load"
)

// settings are the command line.
type settings struct {
	options load.Options
	storm   load.Options // none if it has no connections
	cpus    []int
	json    bool
}

// parse reads the command line. It is long because it is a table of flags.
func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	o := &s.options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.TextVar(&o.Mode, "mode", load.Full,
		"full, resumed, keepalive, openloop, idle, slowreader, download, upload, accept or storm")
	flags.TextVar(&o.Pick, "pick", load.RoundRobin, "roundrobin or random, among several addresses")
	listVar(flags, "addr", "HOST:PORT, or several with commas",
		func(item string) error { o.Addrs = append(o.Addrs, item); return nil })
	plain := flags.Bool("plain", false, "TCP instead of TLS, as mode accept always is")
	flags.Func("tls", "version, 1.2 or 1.3 (default 1.3)",
		func(v string) (err error) { o.Version, err = named(versions, v); return err })
	flags.StringVar(&o.ServerName, "name", "localhost", "server name (SNI)")
	flags.Func("ca", "PEM file to verify the server's chain with (default: no verification)",
		func(path string) (err error) { o.Roots, err = roots(path); return err })
	listVar(flags, "groups",
		"x25519, p256, p384, x25519mlkem768; several with commas (default crypto/tls's)",
		func(item string) error {
			group, err := named(groups, item)
			o.Groups = append(o.Groups, group)
			return err
		})
	listVar(flags, "ciphers",
		"names of cipher suites for TLS 1.2, with commas (default crypto/tls's)",
		func(item string) error {
			cipher, err := cipherSuite(item)
			o.Ciphers = append(o.Ciphers, cipher)
			return err
		})
	listVar(flags, "alpn", "protocols to offer, with commas",
		func(item string) error { o.ALPN = append(o.ALPN, item); return nil })
	flags.IntVar(&o.Conns, "conns", 1, "concurrent connections")
	flags.IntVar(&o.Ops, "ops", 0, "stop after so many operations")
	flags.DurationVar(&o.Duration, "duration", 0, "stop after this long")
	flags.DurationVar(&o.Timeout, "timeout", 0,
		"bound of each connect, handshake and response (default 10s)")
	flags.Float64Var(&o.Rate, "rate", 0,
		"operations a second (openloop; optional for those that connect); bytes a second (slowreader)")
	echo := flags.Bool("echo", false, "the backend echoes -bytes bytes, instead of HTTP")
	flags.StringVar(&o.Path, "path", "/", "path of requests")
	flags.Int64Var(&o.Bytes, "bytes", 0, "length of the body, which is verified; 0 is any")
	flags.IntVar(&o.Requests, "requests", 0,
		"requests per connection (default 1, or no bound where connections stay open)")
	stormConns := flags.Int("storm", 0,
		"connections of a storm of full handshakes beside keepalive or openloop")
	stormRate := flags.Float64("storm-rate", 0,
		"its handshakes a second (default as many as the server makes)")
	var pids []int
	listVar(flags, "pids", "server processes to measure, with their descendants", intTo(&pids))
	listVar(flags, "cpus", "CPUs to stay on", intTo(&s.cpus))
	flags.BoolVar(&s.json, "json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	o.TLS, o.HTTP = !*plain && o.Mode != load.Accept, !*echo
	if len(pids) > 0 {
		meter, err := load.NewMeter(pids...)
		if err != nil {
			return s, err
		}
		o.Meter = meter
	}
	s.storm = s.options
	s.storm.Mode, s.storm.TLS = load.Storm, true
	s.storm.Conns, s.storm.Rate, s.storm.Ops, s.storm.Duration = *stormConns, *stormRate, 0, 0
	return s, nil
}

// listVar makes a flag of items with commas, each of which add takes.
func listVar(flags *flag.FlagSet, name, usage string, add func(string) error) {
	flags.Func(name, usage, func(list string) error {
		for item := range strings.SplitSeq(list, ",") {
			if err := add(item); err != nil {
				return err
			}
		}
		return nil
	})
}

func intTo(list *[]int) func(string) error {
	return func(item string) error {
		n, err := strconv.Atoi(item)
		*list = append(*list, n)
		return err
	}
}

var (
	versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	groups   = map[string]tls.CurveID{
		"x25519": tls.X25519, "p256": tls.CurveP256,
		"p384": tls.CurveP384, "x25519mlkem768": tls.X25519MLKEM768,
	}
)

func named[V any](values map[string]V, name string) (V, error) {
	v, ok := values[strings.ToLower(name)]
	if !ok {
		return v, errors.New("unknown")
	}
	return v, nil
}

func cipherSuite(name string) (uint16, error) {
	for _, suite := range tls.CipherSuites() {
		if suite.Name == name {
			return suite.ID, nil
		}
	}
	return 0, errors.New("unknown; for example TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
}

func roots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}
