// Package nettest runs the other end: real programs (this module's own and the clients and servers
// users have), small TCP backends, and byte streams that can be checked as they arrive; and it
// finds leaks.
//
// Everything takes a [T], which *testing.T and *testing.B are. It is an
// interface so that this package can itself be tested for failing when it must,
// and so that programs can use it without linking package testing.
//
// Every process, backend and reservation ends with the test that asked for it, last started first.
// Processes are only ever signalled by the process group they were started in. Nothing here sleeps
// for a guessed time: waiting is polling a condition against a deadline.
package nettest

// T is what this package needs of a *testing.T or *testing.B.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}
