// Package handover passes named descriptors and small texts from a process to its successor, over a
// socket that only the two of them have. Their meaning and order are up to the caller.
//
// [Start] runs a successor, which finds its end of the socket by [Predecessor]. A message
// is one packet, or several if it has more descriptors than the kernel takes at once:
//
//	descriptors  SCM_RIGHTS
//	data         JSON: kind, body, the descriptors' names, and whether more of them follow
//
// # Ownership
//
// [Conn.Send] passes copies: the sender's descriptors stay its own. The descriptors that
// [Conn.Receive] returns belong to the receiver, and are closed when it executes another program. A
// [Conn] may be used by one goroutine that sends and one that receives.
package handover
