// Package cache keeps TLS sessions, or any short-lived secrets, in memory: a lock-striped map from
// a handle to an opaque value, bounded in entries and in bytes, that evicts the oldest first. It
// knows nothing of TLS, sockets or clocks.
//
// # Ownership and concurrency
//
// A [Cache] may be used by any number of goroutines. Keys and values are copied on the way in and
// on the way out, so the caller keeps what it passed and owns what it got. Time is an argument:
// now, expires and until are nanoseconds on one clock of the caller's choice that never goes back;
// the cache reads no clock. The only lock is a stripe's mutex, which is held for a bounded number
// of records and across no system call.
//
// # How it is built
//
// A key's seeded hash picks a stripe. A stripe is a mutex and two fifos, one of entries and one of
// tombstones (the keys of consumed entries, kept for a while so that a late or repeated Put cannot
// bring one back). A fifo is
//
//   - an index: an open-addressing table of 8-byte slots, each a 32-bit hash and the place of a
//     record;
//   - an arena: records in order of arrival, in segments that are recycled once their last record
//     is dead.
//
// Sessions live about equally long, so the order of arrival is about the order of expiry: expiry
// and eviction both take the oldest record. An expired entry behind one that lives longer stays
// until that one goes or a [Cache.Purge] finds it, for which each segment knows when its first
// record is due (a look-up notices the expiry all the same). Records removed out of order leave
// holes, which are freed with their segment. Recycled segments are used before untouched ones: the
// memory touched follows the live data, however large blocksize and the reserve behind it are.
//
//	            hash slots              arena segments, oldest to newest
//	stripe ---> [..|h,ref|..|h,ref] --> [hole|rec|rec|hole] [rec|rec|rec|rec] [rec|rec|      ]
//
// ^oldest ^next record goes here
//
// A record is a 40-byte header (expiry, birth, hold, lengths, tag, state), the key and the value,
// padded to 8 bytes. Index and arena lie in one anonymous mapping outside the Go heap: nothing for
// the garbage collector to scan, left out of core dumps, and keys and values are zeroed as soon as
// they are dead, because they are secrets.
package cache
