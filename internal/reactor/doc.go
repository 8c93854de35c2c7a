// Package reactor turns events of descriptors, timers and posted tasks into turns of one goroutine:
// the loops of package engine, the replication poller and the repeater each run on one.
//
// A [Reactor] works in rounds. In each it asks epoll once, gives every event its turn, fires the
// timers that are due, runs the tasks that were posted before, and tells its [Host] that the round
// is over, which then does deferred work. Work that is deferred, and tasks that a task posts, wait
// for the next round, so that they cannot keep events waiting. The goroutine waits only if nothing
// is left.
//
// All methods but [Reactor.Post], [Reactor.Wake] and [Reactor.Stop] belong to the goroutine in
// [Reactor.Run], or to the one that made the Reactor before Run begins.
//
// # gnet
//
// The epoll set is a poller of gnet (pkg/netpoll), and this package is the only one
// that imports it. Its traps:
//
//   - Polling, its loop, has no time-out, and swallows every error of a callback but two
//     sentinels.
//   - It asks epoll twice a round: after each call that brought events it asks again without
//     waiting.
//   - It does not report the end of a round, and cannot be left and entered again without losing
//     events or wake-ups.
//   - It runs posted tasks until their queue is empty, so one that posts its successor
//     keeps all events waiting; low priority changes nothing below 1,024 queued tasks.
//   - It can wait in epoll_wait(2) only: see wait.go.
//   - Importing it builds a logger.
//
// So descriptors are registered with gnet's poller, and [Reactor.Run] replaces Polling.
//
// # Events are hints
//
// An event names a descriptor that an earlier event of the same round may have closed
// and reused. The only thing to be done with one is to try to read or write.
//
// A handler whose events come unasked, such as a connection that waits for its next request, can
// have first claim ([Reactor.GiveFirst]): then code that takes the connection for another use in
// the round knows that epoll has reported nothing for it.
package reactor
