package exchange

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"reprise/backend"
	"reprise/backend/http1"
)

func options() *Options {
	return &Options{
		Limits: http1.Limits{
			HeadLen: 16 << 10, TargetLen: 8 << 10, FieldLen: 100,
			TrailerLen: 4 << 10,
		},
		BodyBuffer: 64 << 10, KeepAlive: true,
	}
}

// A world is a Conn with the surroundings a flow provides: a client, and backends that answer
// complete requests.
type world struct {
	t        testing.TB
	s        Scratch
	o        *Options
	c        Conn
	protocol backend.Protocol

	answers func(n int, r *http.Request) string // to the nth request, from 0; "" for none
	closes  func(n int) bool                    // whether the backend ends the connection after it
	cut     func(n int) int                     // how many of n bytes come at once; nil: all

	client  bytes.Buffer // received by the client
	ended   bool         // the client has ended its stream
	stalled bool         // the client reads nothing
	end     Do           // CloseClient or Cut when the client's connection is over
	why     Why

	link     *backendConn
	conns    []*backendConn
	parked   *backendConn
	requests int // answered so far
	methods  []string
	tunnel   bool
	released []Step
}

// A backendConn holds what a backend received on one connection.
type backendConn struct {
	got  bytes.Buffer
	seen int // requests of it that were answered
}

func newWorld(t testing.TB, o *Options, protocol backend.Protocol) *world {
	w := &world{t: t, o: o, protocol: protocol}
	w.c.Start(o, &Client{Remote: netip.MustParseAddrPort("192.0.2.1:5000"), ListenPort: 443})
	w.answers = func(int, *http.Request) string { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" }
	return w
}

func (w *world) over() bool { return w.end != Continue }

// sends passes the client's bytes to the connection.
func (w *world) sends(p []byte) {
	if w.over() {
		return
	}
	if w.tunnel {
		w.link.got.Write(p)
		return
	}
	p = bytes.Clone(p)
	w.c.Give(p)
	w.goOn()
	for i := range p { // the input may change now
		p[i] = '!'
	}
}

// goOn does all that the client's bytes allow.
func (w *world) goOn() {
	for !w.over() && !w.tunnel {
		step := w.c.Next(&w.s, Around{Room: !w.stalled, Ended: w.ended})
		if step.Idle {
			break
		}
		w.do(step)
	}
	w.c.Keep()
}

func (w *world) do(step Step) {
	if w.link != nil {
		w.link.got.Write(step.ToBackend)
		w.link.got.Write(step.Held)
	} else if len(step.ToBackend) > 0 {
		w.t.Fatalf("%q for a missing backend", step.ToBackend)
	}
	w.client.Write(step.ToClient)
	if step.Why != Fine {
		w.why = step.Why
	}
	switch step.Do {
	case Dial:
		w.dial()
	case Release:
		w.released = append(w.released, step)
		w.parked = nil
		if step.Keep {
			w.parked = w.link
		}
		w.link = nil
		w.c.Released()
	case Tunnel:
		w.tunnel = true
		w.link.got.Write(w.c.Rest())
		w.c.Drop()
	case CloseClient, Cut:
		w.end = step.Do
		w.c.Drop()
	}
}

func (w *world) dial() {
	l := Link{Protocol: w.protocol, Keep: w.protocol == backend.HTTP}
	if w.link = w.parked; w.link != nil && !w.c.Exchange().Retried() {
		l.Reused = true
	} else {
		w.link = new(backendConn)
		w.conns = append(w.conns, w.link)
	}
	w.parked = nil
	w.do(w.c.Linked(&w.s, l))
}

// complete returns the next whole, unanswered request that the backend has received.
func (w *world) complete() *http.Request {
	if w.link == nil || w.tunnel {
		return nil
	}
	requests, _ := readRequests(w.link.got.Bytes(), w.protocol)
	if len(requests) <= w.link.seen {
		return nil
	}
	return requests[w.link.seen]
}

// serve lets the backend answer what it has received, until nothing moves.
func (w *world) serve() {
	for !w.over() {
		r := w.complete()
		if r == nil {
			return
		}
		n := w.requests
		w.requests++
		w.methods = append(w.methods, r.Method)
		w.link.seen++
		link := w.link
		w.answer([]byte(w.answers(n, r)))
		if w.closes != nil && w.closes(n) && w.link == link && !w.over() {
			w.do(w.c.BackendEnded(&w.s, false))
			w.goOn()
		}
		w.goOn()
	}
}

// answer passes a backend's bytes to the connection.
func (w *world) answer(p []byte) {
	link := w.link
	for len(p) > 0 && w.link == link && !w.over() {
		n := len(p)
		if w.cut != nil {
			n = w.cut(n)
		}
		if w.tunnel {
			w.client.Write(p[:n])
		} else {
			w.do(w.c.FromBackend(&w.s, bytes.Clone(p[:n])))
		}
		p = p[n:]
	}
}

// run has the client send all of stream in pieces and then its end.
func (w *world) run(stream string, cut func(n int) int) {
	for p := []byte(stream); len(p) > 0; {
		n := len(p)
		if cut != nil {
			n = cut(n)
		}
		w.sends(p[:n])
		w.serve()
		p = p[n:]
	}
	w.ended = true
	w.goOn()
	w.serve()
	w.goOn()
}

// seen returns what the backends have received: the requests in order, each with its body and
// trailer, and the rest of the stream.
func (w *world) seen() (all []string) {
	for _, c := range w.conns {
		requests, err := readRequests(c.got.Bytes(), w.protocol)
		for _, r := range requests {
			body, _ := io.ReadAll(r.Body)
			line := fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, body)
			if len(r.Trailer) > 0 {
				line += fmt.Sprint(" ", r.Trailer)
			}
			all = append(all, line)
		}
		if err != nil && err != io.EOF {
			all = append(all, "broken")
		}
	}
	return all
}

// readRequests reads whole requests as net/http does, or uwsgi packets as that protocol's
// documentation describes them.
func readRequests(p []byte, protocol backend.Protocol) (all []*http.Request, err error) {
	r := bufio.NewReader(bytes.NewReader(p))
	for {
		if _, err := r.Peek(1); err != nil {
			return all, err
		}
		var req *http.Request
		if protocol == backend.UWSGI {
			req, err = readPacket(r)
		} else {
			req, err = http.ReadRequest(r)
		}
		if err != nil {
			return all, err
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return all, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		all = append(all, req)
		if protocol == backend.UWSGI {
			return all, nil
		}
	}
}

func readPacket(r io.Reader) (*http.Request, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	p := make([]byte, int(prefix[1])|int(prefix[2])<<8)
	if _, err := io.ReadFull(r, p); err != nil {
		return nil, err
	}
	vars := make(map[string]string)
	next := func() string {
		n := int(p[0]) | int(p[1])<<8
		s := string(p[2 : 2+n])
		p = p[2+n:]
		return s
	}
	for len(p) > 0 {
		key := next()
		vars[key] = next()
	}
	length := int64(0)
	if v, ok := vars["CONTENT_LENGTH"]; ok {
		fmt.Sscan(v, &length)
	}
	body, err := io.ReadAll(io.LimitReader(r, length))
	if err != nil || int64(len(body)) < length {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Request{
		Method: vars["REQUEST_METHOD"], RequestURI: vars["REQUEST_URI"],
		Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

// statuses describes what the client has received: the statuses, "close" if the last answer
// announces it, "cut" if it was cut.
func (w *world) statuses() string {
	var all []string
	for _, a := range w.got() {
		all = append(all, a.text)
	}
	if w.end == Cut {
		all = append(all, "cut")
	}
	return strings.Join(all, " ")
}

type gotten struct{ text, body string }

// got reads the responses as net/http does. Malformed ones become errors.
func (w *world) got() (all []gotten) {
	r := bufio.NewReader(bytes.NewReader(w.client.Bytes()))
	for i := 0; ; {
		if _, err := r.Peek(1); err != nil {
			return all
		}
		method := "GET"
		if i < len(w.methods) {
			method = w.methods[i]
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return append(all, gotten{text: err.Error()})
		}
		a := gotten{text: fmt.Sprint(resp.StatusCode)}
		if resp.StatusCode >= 200 {
			i++
			body, err := io.ReadAll(resp.Body)
			a.body = string(body)
			if err != nil {
				return append(all, a)
			}
			if len(resp.Trailer) > 0 {
				a.body += fmt.Sprint(resp.Trailer)
			}
			if resp.Close {
				a.text += " close"
			}
		}
		all = append(all, a)
		if resp.StatusCode == 101 {
			rest, _ := io.ReadAll(r)
			return append(all, gotten{text: "tunnel", body: string(rest)})
		}
	}
}

// holdsNothing reports whether the connection holds no buffer.
func (w *world) holdsNothing() bool {
	c := &w.c
	return c.in.Len() == 0 && c.given == nil && c.x.head.Len() == 0 && c.x.held.Len() == 0 &&
		c.x.out.Len() == 0 &&
		c.body.Trailer() == nil
}
