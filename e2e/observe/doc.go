// Package observe looks at a node and at a fleet as an operator does who is not there: by the
// metrics that Prometheus scrapes, by the rules of docs/monitoring, and by the log.
//
// The environment variable REPRISE_BIN names another program to look at than the one built from
// this checkout.
package observe
