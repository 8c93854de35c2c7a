// Package backendtls tests TLS to backends: how they are verified, sessions with them, and that the
// relay keeps its promises over TLS.
package backendtls
