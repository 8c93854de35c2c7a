// Package clientlimit bounds what clients of one address may take: connections at the
// same time, full handshakes and requests per second. It has no socket and no clock.
//
// A client is a network: all of an IPv4 address, or of an IPv6 prefix of 64 bits, which is what one
// subscriber has; both may be set shorter. [Policy.Connect] begins a connection and gives it the
// [Key] of its client, which identifies the client for the rest of it.
//
// # The table
//
// All loops of a process share one [Table], since a client's connections are spread over them. An
// entry has 32 bytes: the client, exactly; the number of its connections; and two times, until
// which its handshakes and its requests use up what they may (the generic cell rate algorithm,
// ITU-T I.371: one number instead of a bucket that is filled by a clock). Entries lie in sets of
// sixteen, and a client is in one of two sets that a keyed hash of it names, so that no attacker
// can choose clients that collide. The sets are divided among stripes with a lock each, held for
// some instructions.
//
//	memory = 40 bytes for each client that the table is to hold, at least 128 KiB
//
// which is 40 MB for a million: a quarter more entries than clients, so that both sets of one are
// hardly ever full. Memory lies outside of the Go heap, so that the collector neither scans it nor
// lets garbage grow because of it. The system provides it a page at a time when it is first used.
//
// # When it is full
//
// The entry of a client without a connection whose times have passed is free. If both sets are full
// of others, the client without a connection whose times pass first is removed: its use is
// forgotten, and counted as Forgotten. Clients with connections stay. If all have connections, the
// new client is admitted without limits and counted as Untracked: max-connections bounds how many
// have connections, so this cannot happen in a table for more clients than that.
package clientlimit
