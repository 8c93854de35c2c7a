// Package fleet attacks fleets of nodes from outside: real processes, real
// clients, real datagrams. Each of its tests is an attack or a mishap that once
// succeeded, or a sibling of one; SECURITY.md names the test beside the promise.
//
// The environment variable REPRISE_BIN names another program to attack than the
// one built from this checkout.
package fleet
