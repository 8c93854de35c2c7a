// Package reactor turns what happens to descriptors, timers and posted tasks into
// turns of one goroutine: the loops of package engine, the replication poller and the
// repeater each run on one.
//
// A [Reactor] goes round by round. In each it asks epoll once, gives every event its
// turn, fires the timers that are due, runs the tasks that were posted before, and
// tells its [Host] that the round is over, which is when work that was put off is
// taken up. What is put off, and what a task posts, waits for the next round, so that
// it cannot keep events waiting. Only if nothing is left does the goroutine wait.
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
//   - It asks epoll twice a round: after each one that brought something it asks again
//     without waiting.
//   - It does not tell where a round ends, and cannot be left and entered again without
//     losing events or wake-ups.
//   - It runs posted tasks until their queue is empty, so one that posts its successor
//     keeps all events waiting; low priority changes nothing below 1,024 queued tasks.
//   - It can wait in epoll_wait(2) only: see wait.go.
//   - Importing it builds a logger.
//
// So descriptors are registered with gnet's poller, and [Reactor.Run] stands where
// Polling would.
//
// # Events are hints
//
// An event names a descriptor that an earlier event of the same round may have closed
// and reused. The only thing to be done with one is to try to read or write.
//
// What has events of no one's asking, such as a connection that waits for its next request, can
// have first claim ([Reactor.GiveFirst]): then whoever takes it for something else in the
// round knows that epoll has told nothing of it.
package reactor
