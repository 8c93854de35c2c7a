// Package clients holds Reprise against the TLS stacks that users have: a client
// that did a full handshake at one node resumes at the other.
//
// It consists of tests. A row of the table in resume_test.go is one client in one
// mode (by session ID or by ticket in TLS 1.2, by PSK in TLS 1.3, after a
// HelloRetryRequest, with a client certificate). The client believes that it talks
// to one server: a relay leads its first connection to node A, the next one to
// node B, and so on. What came of each connection is taken from the nodes' access
// logs and statistics, from what the client itself says where it says something,
// and from the ClientHello, which the relay has seen: that a session was offered in
// the way the row is about.
//
// The sources of clients that are not a program of their own are in testdata.
package clients
