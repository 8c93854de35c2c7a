// Package acme has tests of certificates that are got while the program runs, from pebble,
// the test server of Let's Encrypt. It is built from a module of its own, so that nothing
// else here depends on it.
package acme
