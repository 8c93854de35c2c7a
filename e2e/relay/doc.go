// Package relay tests that every byte arrives, in both directions and at any pace, with and without
// TLS, whichever end closes first, and the cost of an open connection.
package relay
