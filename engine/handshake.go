package engine

import (
	"errors"

	"reprise/internal/reactor"
	"reprise/tlsconn"
)

// handshake feeds the TLS handshake while there is input.
func (f *flow) handshake() {
	l := f.loop
	if err := f.out.flush(&f.client); err != nil {
		f.end(causeClientGone, atOnce)
		return
	}
	if state := f.tls.State(); state.Parked() {
		if f.client.input != inputOpen && f.gaveUp() {
			f.end(causeClientGone, atOnce)
			return
		}
		out := f.tls.Resume(l.out)
		if f.tls.State() == state {
			return // what it waits for has not come yet
		}
		f.handshakeStep(out)
	}
	for f.phase == handshaking && f.tls.State() == tlsconn.ExpectHandshakeBytes &&
		f.client.readable {
		n, err := f.client.read(l.in)
		switch {
		case err != nil:
			f.end(causeClientGone, atOnce)
		case f.client.ended():
			f.handshakeStep(f.tls.EOF(l.out))
		case n > 0:
			l.count.Flows.CipherInBytes.Add(uint64(n))
			f.heard = true
			f.handshakeStep(f.tls.Feed(l.out, l.in[:n]))
		}
	}
}

// gaveUp reports whether the client of a parked handshake is gone. Work for it, such as an RSA
// signature, would be wasted, at the expense of other clients. The epoll event may concern the
// descriptor's predecessor, so the socket is asked.
func (f *flow) gaveUp() bool {
	if f.tls.State() == tlsconn.AwaitVerify {
		// The client may have sent everything already, including its request and its FIN: then it
		// still waits for an answer.
		return reactor.Is(f.client.fd, reactor.HungUp)
	}
	return reactor.Is(f.client.fd, reactor.HungUp|reactor.PeerEnded)
}

const (
	plainHTTPText   = "This port speaks HTTPS. Write https:// instead of http://.\n"
	plainHTTPAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 59\r\nConnection: close\r\n\r\n" + plainHTTPText
)

// handshakeStep acts on the result of a handshake step.
func (f *flow) handshakeStep(out []byte) {
	l := f.loop
	failed := f.tls.State() == tlsconn.Failed
	if failed && f.settings.HTTP != nil && errors.Is(f.tls.Err(), tlsconn.ErrPlainHTTP) {
		// instead of an alert, which such a client cannot read
		out = append(l.out, plainHTTPAnswer...)
	}
	if !f.gather(out) {
		return
	}
	if f.log != nil {
		f.tellHandshake()
	}
	state := f.tls.State()
	f.signs(state == tlsconn.AwaitSignature)
	switch state {
	case tlsconn.ExpectHandshakeBytes, tlsconn.AwaitSignature, tlsconn.AwaitVerify:
	case tlsconn.AwaitAdmission:
		if f.admission == refused {
			f.end(causeLimitHandshakes, atOnce)
		}
	case tlsconn.AwaitSession:
		f.lookup = l.tick + ticks(l.o.LookupTimeout)
	case tlsconn.Failed:
		f.end(causeHandshake, inWords)
	default:
		l.handshakes.remove(f)
		info := f.tls.Info()
		took := l.now.Sub(l.timeOf(f.began))
		l.count.Flows.Handshake.Observe(took)
		l.count.Handshakes.Observe(tlsconn.KindOf(info), took)
		f.remember("")
		f.opened(info.ServerName)
		// Data that came with the client's last flight waits in l.in.
		if f.phase == serving && f.decrypt(l.out) && f.http == nil && f.mux == nil {
			f.seek()
		}
	}
}
