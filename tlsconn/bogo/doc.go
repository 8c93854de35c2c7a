// Command bogo puts this module's TLS server before BoGo, the test suite of
// BoringSSL (ssl/test/runner in its sources).
//
//	make bogo BORINGSSL=DIR
//
// BoGo's runner plays a client that may break any rule of the protocol. For
// each connection it starts a shim, a program that wraps the implementation
// under test, and tells it by flags what to do and what to expect. The shim
// connects to the runner, says which test it belongs to, speaks TLS as the
// server, echoes what it reads with every bit flipped, and reports success by
// its exit status.
//
// This program is both: called by the runner it is the shim; called as
//
//	bogo judge -boringssl DIR
//
// it builds the runner, has it run this program, and prints what passed, failed
// and was skipped, by cause.
//
// The shim uses nothing but the public contract of package tlsconn: bytes in,
// bytes out. It exits with status 89, "not implemented", for every flag that
// the contract cannot honour, with the cause in a log for the judge (see
// unsupported in flags.go). With -async it feeds and takes single bytes, lets the
// connection rest before each, has signatures made on another goroutine, and answers
// look-ups of sessions late.
//
// With -relay PROGRAM the shim is not the server: it relays the runner's bytes to a
// listener of that program, which the judge starts with the certificate and the
// options that the test wants, as far as the program has such options, in front of
// a backend that echoes as the shim does. Of the outcome the shim sees no more then
// than an alert in clear; the runner sees the rest.
//
// # What is counted
//
// The runner has some 7,900 tests. Those counted are of TLS servers, in TLS 1.2
// and 1.3, without extensions that are not for a terminator: see outside in
// selection.go. errors.json says by which of our reasons each of BoringSSL's errors
// is met, so that a test is not passed by failing for another reason; it is for our
// engine only, crypto/tls is judged with -loose. What fails among the tests must be
// listed in expected.txt with the choice that explains it.
package main
