// Package documented runs the examples of docs/examples as they are printed, and does the steps of
// their documents. Their addresses are fixed: see the reader's claim.
package documented
