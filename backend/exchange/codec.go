package exchange

import (
	"reprise/backend"
	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

// encode writes the head of the request in its backend's protocol; for HTTP/2 the connection makes
// it from an HTTP/1.1 head. A further protocol belongs here, and its answers in takeHead.
func (x *Exchange) encode(s *Scratch, out *Output) (err error) {
	r := x.Request(s)
	if x.link.Protocol == backend.UWSGI {
		s.vars = uwsgi.Vars{
			ServerName: x.o.ServerName, Host: x.c.Host, ServerPort: x.c.ListenPort,
			Remote: x.c.Remote, Trusted: x.c.Trusted,
			Length: -1, HTTP2: x.c.HTTP2, TLS: x.c.TLS, Rules: x.o.RequestRules, Facts: x.c.Facts,
			Nth: x.nth,
		}
		if x.framing == http1.ByLength || x.framing == http1.Chunked && x.length >= 0 {
			s.vars.Length = x.length
		}
		s.toBackend, err = uwsgi.AppendRequest(s.toBackend[:0], r, &s.vars)
		out.ToBackend = s.toBackend
		return err
	}
	s.forward = http1.Forward{
		Client: x.c.Remote, Secure: x.c.TLS != nil, ListenPort: x.c.ListenPort,
		Trusted:   x.c.Trusted,
		KeepAlive: x.link.Keep, HTTP2: x.streamed(), Host: x.c.Host, Rules: x.o.RequestRules,
		Facts: x.c.Facts, Nth: x.nth,
	}
	s.toBackend = http1.AppendRequest(s.toBackend[:0], r, &s.forward)
	out.ToBackend = s.toBackend
	return nil
}
