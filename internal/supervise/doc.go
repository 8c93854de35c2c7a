// Package supervise keeps one child process running: it starts it, restarts it when it ends, logs
// its output, and stops it.
//
// The child is in a process group of its own, so that a Ctrl-C at the terminal reaches us alone and
// we decide when the child stops. When the child ends, the rest of its group is killed, such as
// workers whose master crashed.
//
// If we are killed, the kernel kills the child, by PR_SET_PDEATHSIG. Two things about that
// (prctl(2)): it follows the thread that started the child, not the process, which is why the
// supervising goroutine keeps its thread; and it reaches the child alone, not the processes that
// one started, and not a child that changes its user. A uwsgi with workers therefore needs
// no-orphans, which asks the same of the kernel for each of them.
package supervise
