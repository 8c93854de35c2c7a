package tlsconn_test

import (
	"slices"
	"testing"

	"reprise/tlsconn"
	"reprise/tlsconn/standard"
)

// An engine is one implementation of the contract, to which all tests in this package apply, with
// its deviations.
type engine struct {
	name  string
	new   func(tlsconn.Config) (tlsconn.Server, error)
	codec tlsconn.Codec
	other tlsconn.Codec // of the other engine

	refusesEarlyData bool // where others skip it
	allocates        bool // for each record
	ticketsOnly      bool // TLS 1.2 is not resumed by session ID
	oneTicket        bool // for each connection
	verifiesOnLoop   bool // client certificates
	alertSSLv2       byte // what a client of SSLv2 is told
	silentWithoutEMS bool // no alert for a client that has dropped extended master secret

	// withoutEMS changes a session state to one that was made without extended
	// master secret.
	withoutEMS func(t *testing.T, state []byte) []byte
}

var engines = []engine{
	{
		name: "own", new: tlsconn.New, codec: tlsconn.CodecOwn, other: tlsconn.CodecStandard,
		alertSSLv2: alertUnexpectedMessage, withoutEMS: withoutEMSOfOwn,
	},
	{
		name: "standard", new: standard.New, codec: tlsconn.CodecStandard, other: tlsconn.CodecOwn,
		alertSSLv2:       alertProtocolVersion,
		refusesEarlyData: true, // crypto/tls has no way to skip it
		allocates:        true, // crypto/tls fetches each record through a net.Conn
		silentWithoutEMS: true,
		ticketsOnly:      true,
		oneTicket:        true,
		verifiesOnLoop:   true,
		withoutEMS:       withoutEMSOfStandard,
	},
}

// onEach runs a test for each engine.
func onEach(t *testing.T, test func(t *testing.T, e engine)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

// withoutEMSOfOwn clears the flag in our encoding: after version 1, protocol
// version 2 and cipher suite 2.
func withoutEMSOfOwn(t *testing.T, state []byte) []byte {
	t.Helper()
	state = slices.Clone(state)
	at := tlsconn.StatePrefixLen + 1 + 2 + 2
	if state[at] != 1 {
		t.Fatalf("flags: got %d, want 1", state[at])
	}
	state[at] = 0
	return state
}

// withoutEMSOfStandard clears extMasterSecret in crypto/tls's encoding of a session: version
// 2, kind 1, cipher suite 2, creation 8, secret with its length in 1, Extra with
// its length in 3, and then this byte.
func withoutEMSOfStandard(t *testing.T, state []byte) []byte {
	t.Helper()
	state = slices.Clone(state)
	at := tlsconn.StatePrefixLen + tlsconn.ScopeLen + 2 + 1 + 2 + 8
	at += 1 + int(state[at]) + 3
	if state[at] != 1 {
		t.Fatalf("extended master secret: got %d, want 1", state[at])
	}
	state[at] = 0
	return state
}
