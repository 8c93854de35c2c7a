// Package handover passes what a process holds to its successor: named descriptors and
// small texts, over a socket that only the two of them have. What they mean, and in which
// order they come, the caller knows.
//
// [Start] runs a successor, which finds its end of the socket by [Predecessor]. A message
// is one packet, or several if it has more descriptors than the kernel takes at once:
//
//	descriptors  SCM_RIGHTS
//	data         JSON: kind, body, the descriptors' names, and whether more of them follow
//
// # Ownership
//
// [Conn.Send] passes copies: the sender's descriptors stay its own. What [Conn.Receive]
// returns belongs to the receiver, and is closed when it executes another program. A
// [Conn] may be used by one goroutine that sends and one that receives.
package handover
