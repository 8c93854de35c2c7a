// Package fleet tests nodes that share their sessions, and attacks them from outside: real
// processes, real clients, real datagrams. Many of its tests are an attack or a mishap that
// once succeeded, or a sibling of one; SECURITY.md names the test beside the promise.
package fleet
