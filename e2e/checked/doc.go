// Package checked tests that reprise check and a start say the same about a configuration: what
// check passes is served, and what it refuses is refused at start in the same words.
package checked
