package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"slices"

	"reprise/tlsconn"
	"reprise/tlsconn/standard"
)

// An engine is an implementation of the contract, with what a test must know of
// it beyond that.
type engine struct {
	new func(tlsconn.Config) (tlsconn.Server, error)
	// verifiesOnWorkers: client chains are verified by tlsconn.Workers, so that
	// the shim sees whether they are.
	verifiesOnWorkers bool
	// groups are those it has. The contract does not say which of them to use,
	// so a test that asks for some gets all.
	groups []tls.CurveID
}

var engines = map[string]engine{
	"standard": {
		new:    standard.New,
		groups: []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519, tls.X25519MLKEM768},
	},
}

// engineVariable names the environment variable that chooses the engine. It is
// what -engine sets for the shims of a run.
const (
	engineVariable = "REPRISE_TLS_ENGINE"
	defaultEngine  = "standard"
)

// chosenEngine returns the engine to be judged.
func chosenEngine() (engine, error) {
	name := cmp.Or(os.Getenv(engineVariable), defaultEngine)
	e, ok := engines[name]
	if !ok {
		return e, fmt.Errorf("engine %q: there are %v", name, slices.Sorted(maps.Keys(engines)))
	}
	return e, nil
}

// suiteIDs are the TLS 1.2 suites by the runner's names.
var suiteIDs = func() map[string]uint16 {
	ids := map[string]uint16{}
	for _, suite := range tls.CipherSuites() {
		ids[suite.Name] = suite.ID
	}
	return ids
}()
