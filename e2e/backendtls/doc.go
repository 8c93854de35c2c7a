// Package backendtls tests TLS to backends: whom the program takes for a backend, what it
// remembers of one, and that the relay keeps its promises over it.
package backendtls
