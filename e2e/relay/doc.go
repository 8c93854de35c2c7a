// Package relay tests that every byte arrives, in both directions and at any pace, with and
// without TLS, whatever ends first, and what an open connection costs.
package relay
