// Package handshake attacks a node from outside, mostly its TLS: actions that are cheap for a
// client must not be expensive for the node, neither in time on a loop that others wait for nor in
// memory.
//
// The environment variable REPRISE_BIN names another program to attack than the
// one built from this checkout.
package handshake
