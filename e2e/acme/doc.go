// Package acme tests certificates that the program gets while it runs, from pebble, the test server
// of Let's Encrypt. It is built from a module of its own, so that nothing else here depends on it.
package acme
