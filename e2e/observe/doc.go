// Package observe looks at a node and at a fleet as a remote operator does: by the metrics that
// Prometheus scrapes, by the rules of docs/monitoring, and by the log.
//
// The environment variable REPRISE_BIN names another program to look at than the one built from
// this checkout.
package observe
