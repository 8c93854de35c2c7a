// Package testpki makes certificates: authorities, server and client
// certificates of each key type, self-signed and expired ones, revocation
// lists.
//
// It has two layers. [NewCA], [CA.Issue], [CA.Revoke] and [SelfSigned] work on
// values in memory and return errors; the demo uses them too, which is why this
// package never imports testing. [New] binds them to a test: files appear in
// the test's temporary directory, an error ends the test.
//
// Nothing made here is fit for production: certificates live for a day, and all
// RSA certificates of a process share one key, because making one takes longer
// than most tests.
//
// All functions and methods are safe for concurrent use.
package testpki
