// Package routing tests which backend serves a client, and the reports about it: pools and names,
// balancing and checks, subscriptions, PROXY headers, limits of clients, and the access log.
package routing
