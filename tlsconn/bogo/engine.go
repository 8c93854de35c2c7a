package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"reprise/tlsconn"
	"reprise/tlsconn/primitive"
	"reprise/tlsconn/standard"
)

// An engine is an implementation of the contract, with the additional facts that tests need.
type engine struct {
	new func(tlsconn.Config) (tlsconn.Server, error)
	// verifiesOnWorkers: tlsconn.Workers verify client chains, so that the shim sees whether they
	// are verified.
	verifiesOnWorkers bool
	// onlyAEAD: there are no suites with CBC.
	onlyAEAD bool
	// groups are those it has.
	groups []tls.CurveID
}

var engines = map[string]engine{
	"own": {
		new:               tlsconn.New,
		onlyAEAD:          true,
		verifiesOnWorkers: true,
		groups: []tls.CurveID{
			tls.CurveP256, tls.CurveP384, tls.X25519, tls.X25519MLKEM768,
			tls.CurveID(primitive.X448),
		},
	},
	"standard": {
		new: standard.New,
		groups: []tls.CurveID{
			tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519,
			tls.X25519MLKEM768,
		},
	},
}

// engineVariable names the environment variable that chooses the engine. -engine sets it for the
// shims of a run.
const (
	engineVariable = "REPRISE_TLS_ENGINE"
	defaultEngine  = "own"
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

// suiteIDs are the engine's TLS 1.2 suites by the runner's names.
func (e *engine) suiteIDs() map[string]uint16 {
	ids := map[string]uint16{}
	for _, suite := range tls.CipherSuites() {
		if !e.onlyAEAD || !strings.Contains(suite.Name, "_CBC_") {
			ids[suite.Name] = suite.ID
		}
	}
	return ids
}
