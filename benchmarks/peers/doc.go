// Package peers has the servers that the benchmarks compare, Reprise among them. Each is one file
// here: its configuration as a template, which begins with the command that runs it and the reason
// why the comparison is fair.
//
// Common to all: the same certificate, key and backend; TLS 1.2 and 1.3 with AES-128-GCM and one
// group, repeated in openssl.cnf; session tickets on; TCP_NODELAY; no log; idle connections kept
// for an hour; a backlog of 1,024. Settings that a template does not mention have the server's
// default.
package peers
