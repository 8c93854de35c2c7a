// Package handshake attacks a node from outside, mostly its TLS: what costs the client
// little must not cost the node much, neither time on a loop that others wait for
// nor memory.
//
// The environment variable REPRISE_BIN names another program to attack than the
// one built from this checkout.
package handshake
