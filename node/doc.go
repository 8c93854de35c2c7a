// Package node wires one process from its configuration: listeners, session memory, replication,
// backends, statistics, and the changes made while clients are served. It is the only package that
// knows all others, and holds none of their logic.
//
// A Node is made by New (everything is bound), served from Start on, and ends by Drain and
// Close. Serve does all of that for a process, with signals, reloads and upgrades.
package node
