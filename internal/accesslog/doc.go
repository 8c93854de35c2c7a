// Package accesslog writes a line for each HTTP request and each relayed connection, without ever
// making a loop wait: a full disk or a pipe without a reader costs lines, which are counted, and
// nothing else.
//
// [Log.Write] formats an [Entry] into a pooled buffer and puts that into a bounded queue. A
// goroutine writes the lines that have gathered there with one system call. Every line written,
// dropped or still queued was one call of Write.
//
// A line is one entry whatever a client sends: characters that are not printable are escaped, so
// that neither a program that reads lines nor a terminal that shows them can be deceived. A text
// longer than 4 KiB once it is escaped is cut there and ends in "...".
//
// # JSON
//
// One object per line. Times are UTC, durations are seconds. Bytes that are not
// UTF-8 read as U+FFFD. Members that do not apply are left out: the request's for
// a connection, the backend's where none was reached, resumed after a full
// handshake, durations that are zero.
//
//	time client listener router                        start, client, listener
//	tls cipher sni alpn resumed outcome client_cert    the connection's TLS
//	method target proto host status referer user_agent the request and its answer
//	backend retries kept_alive cause                   the backend, and why it broke off
//	request bytes_in bytes_out                         nth of its connection; bytes
//	handshake connect first_byte total                 durations
//
// # Combined
//
// Apache's combined format with fields after it, all of them always there, "-" for
// those that do not apply. For a connection the request and status are "-". Text is
// escaped as Apache does: \" and \\, \n and its like, \xhh for other
// bytes beyond printable ASCII.
//
//	client - - [time] "request" status bytes_out "referer" "user_agent" tls="" cipher=""
//	    resumed="" sni="" backend="" cause="" handshake= connect= first_byte= total=
package accesslog
