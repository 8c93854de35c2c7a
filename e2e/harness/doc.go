// Package harness is what end-to-end tests share: the built program at work ([Start]) and
// what it tells of itself ([Server.Document], [Server.Get], the access log), fleets of it
// ([Fleet]), clients that keep sessions, and real servers before and behind it.
//
// The program is built once for all packages that ask for it, with the race detector if the
// test is. The environment variable REPRISE_BIN names another program to test than the one
// built from this checkout. Everything listens on loopback addresses, on free ports, and
// ends with its test. Tests wait for what the program says, never for time to pass.
package harness
