// Package harness is shared by end-to-end tests: the built program at work ([Start]) and its
// reports ([Server.Document], [Server.Get], the access log), fleets of it ([Fleet]), clients that
// keep sessions, and real servers before and behind it.
//
// The program is built once for all packages that ask for it, with the race detector if the test
// is. The environment variable REPRISE_BIN names another program to test than the one built from
// this checkout. Everything listens on loopback addresses, on free ports, and ends with its test.
// Tests wait for the program's reports, never for time to pass.
package harness
