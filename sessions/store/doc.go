// Package store keeps TLS sessions in a Redis, Valkey, Redis Cluster or memcached server, so that
// they can be resumed beyond one fleet of nodes, or after all its nodes were restarted.
//
// # Law
//
// A loop never waits for the server, the server never learns a secret, and the node works without
// it: an answer that does not come in time is a miss.
//
//	Set, Delete -> bounded queues, by session -> writers  -> server
//	Get         -> bounded queue              -> readers  -> server -> answer
//	                                             breaker <- prober
//
// [Store.Set], [Store.Get] and [Store.Delete] only put something on a queue, and return false if
// they cannot. Writes of one session keep their order. After a number of consecutive failures the
// breaker opens and the server is left alone: nothing is queued. One goroutine, the prober, tries
// it again after a second, then two, up to half a minute; it also makes the first connection: a
// server that is down when the node starts is treated like one that went down later.
//
// # What the server sees
//
// Names are the prefix and the base64url form of HMAC-SHA-256 of the session's key. A reader of the
// store can neither make handles from them nor tell which session a client on the wire has. Values
// are:
//
//	offset  length  field
//	     0       1  version, 2
//	     1       1  id of the cluster secret
//	     2      12  nonce, random
//	    14       n  encrypted: age when written in ms 4, what was left to live in
//	                ms 4, time of writing in Unix ms by the writer's clock 8, then
//	                the session
//	  14+n      16  tag
//
// All integers are big endian. Sealed with AES-256-GCM; the additional data is
// bytes 0 and 1 and the session's key. The encryption key is
// HKDF-SHA-256(cluster secret, info "reprise store v2" and the session's key): one
// for each session, so that random nonces never get near the 2^32 values that NIST
// SP 800-38D allows under one key, however long the secret lives. The HMAC key is
// HKDF-SHA-256(cluster secret, info "reprise store v2 name"), the id the first
// byte of it with "reprise store v2 id". All live secrets are tried on a look-up;
// the first one writes.
//
// A Redis user needs no more rights than GET, PTTL, SET, DEL and EVAL for names with
// the prefix, and CLUSTER in a Redis Cluster.
//
// # How old a session is
//
// The time since a value was written is the larger of what two clocks show: those of its writer and
// its reader, and, as Redis reports a value's remaining life, the server's. So a server that was
// restored from a backup, or lies, cannot make a session younger than the nodes' clocks allow, and
// a reader whose clock is behind does not make it younger than the server's clock allows. A reader
// whose clock is ahead misses sessions too early. memcached reports nothing: a reader whose clock
// is behind takes sessions for that much younger, but never younger than when they were written,
// and memcached's own expiry still ends them in time.
//
// # Rules to forget
//
// Beside the sessions there is one more value, sealed and named for the purpose "rules" in place of
// a session's key: what the nodes were told to forget. Every node reads it before the breaker
// closes and once a second after that, and writes it when it lacks something: the union, and only
// in place of the value it has read (a script in Redis, cas in memcached), so that neither of two
// concurrent writes is lost. A store whose rules could not be read for ten seconds is not asked for
// sessions. For rules the smaller of the two clocks' times counts: a rule that looked older than it
// is would forget less.
//
// # What it does not do
//
// Reading and deleting are two steps. A single-use session that two nodes without any other
// connection look up at the same time is given to both, and one whose deletion is lost in an outage
// stays until it expires.
//
// A server that lies can return an older value, of a session or of the rules, during its life.
//
// There is one breaker for all servers of a URL. While one of several hangs, look-ups of its
// sessions take their full time-out.
package store
