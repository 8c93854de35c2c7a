// Command bogo tests this module's TLS server with BoGo, the test suite of BoringSSL
// (ssl/test/runner in its sources).
//
//	make bogo BORINGSSL=DIR
//
// BoGo's runner plays a client that may break any rule of the protocol. For each connection it
// starts a shim, a program that wraps the implementation under test, and passes flags for what to
// do and what to expect. The shim connects to the runner, sends the id of its test, speaks TLS as
// the server, echoes what it reads with every bit flipped, and reports success by its exit status.
//
// This program is both: called by the runner it is the shim; called as
//
//	bogo judge -boringssl DIR
//
// it builds the runner, has it run this program, and prints which tests passed, failed and were
// skipped, by cause.
//
// The shim uses only the public contract of package tlsconn: bytes in, bytes out. It exits with
// status 89, "not implemented", for every flag that the contract cannot honour, with the cause in a
// log for the judge (see unsupported in flags.go). With -async it feeds and takes single bytes,
// lets the connection rest before each, has signatures made on another goroutine, and answers
// look-ups of sessions late.
//
// With -relay PROGRAM the shim is not the server: it relays the runner's bytes to a listener of
// that program, which the judge starts with the certificate and the options that the test needs, as
// far as the program has such options, in front of a backend that echoes as the shim does. Of the
// outcome the shim then sees no more than an unencrypted alert; the runner sees the rest.
//
// # What is counted
//
// The runner has some 7,900 tests. Those counted concern TLS servers, in TLS 1.2 and 1.3, without
// extensions that a terminator does not need: see outside in selection.go. errors.json maps each of
// BoringSSL's errors to our reasons for it, so that a test does not pass by failing for another
// reason; it applies only to our engine, crypto/tls is judged with -loose. Failing tests must be
// listed in expected.txt with the choice that explains them.
package main
