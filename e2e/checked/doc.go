// Package checked tests that reprise check and a start give the same verdict on a configuration:
// one that check passes is served, and one that it refuses is refused at start in the same words.
package checked
