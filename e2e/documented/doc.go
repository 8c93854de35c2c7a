// Package documented runs the examples of docs/examples as they are printed, and does with
// them what their documents say. Their addresses are fixed: see the reader's claim.
package documented
