// Package clients tests Reprise with the TLS stacks of users: a client that did a full handshake at
// one node resumes at the other.
//
// It consists of tests. A row of the table in resume_test.go is one client in one mode (by session
// ID or by ticket in TLS 1.2, by PSK in TLS 1.3, after a HelloRetryRequest, with a client
// certificate). The client believes that it talks to one server: a relay leads its first connection
// to node A, the next one to node B, and so on. The result of each connection is taken from the
// nodes' access logs and statistics, from the client's own output where it has some, and from the
// ClientHello, which the relay has seen: it must offer a session in the way of the row.
//
// The sources of clients that are not a program of their own are in testdata.
package clients
