// Package routing tests who is served by which backend, and what is told about it: pools and
// names, balancing and checks, subscriptions, PROXY headers, limits of clients, and the
// access log.
package routing
