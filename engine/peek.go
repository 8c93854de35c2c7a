package engine

import "reprise/internal/queue"

// maxPeek bounds what is kept of a client until its server name is known: more than any ClientHello
// needs, with the largest post-quantum shares and sessions offered, in small records.
const maxPeek = 24 << 10

// beginPeeking looks at the client's bytes before they are relayed. Nothing is answered, and
// nothing changed.
func (f *flow) beginPeeking() {
	f.begin(peeking, f.loop.o.HandshakeTimeout)
	f.peek = f.settings.Peek()
}

// readPeek reads until the server name is known.
func (f *flow) readPeek() {
	l := f.loop
	for f.phase == peeking && f.client.readable {
		n, err := f.client.read(l.in[:min(len(l.in), maxPeek)])
		switch {
		case err != nil:
			f.end(causeClientGone, atOnce)
		case f.client.ended():
			if f.afterPeek(); f.phase == serving {
				f.clientEOF()
			}
		case n > 0:
			l.count.Flows.CipherInBytes.Add(uint64(n))
			f.peekAt(l.in[:n])
		}
	}
}

// peekAt handles the client's next bytes. A name that has not come within the bound counts as none.
func (f *flow) peekAt(p []byte) {
	f.early.Push(p)
	if f.peek.Feed(p) || f.early.Len() > maxPeek {
		f.afterPeek()
	}
}

// peekTimeout acts when the client has not sent its name in time: one that has sent nothing at all
// may wait for the server to speak first.
func (f *flow) peekTimeout() {
	if f.early.Len() > 0 {
		f.end(causeHandshakeTimeout, atOnce)
		return
	}
	f.afterPeek()
}

// afterPeek relays the kept bytes.
func (f *flow) afterPeek() {
	early := f.early
	name := f.peek.ServerName(early.Bytes())
	f.early, f.peek = queue.Queue{}, nil
	defer early.Drop()
	f.loop.handshakes.remove(f)
	if f.opened(name); f.phase == serving {
		f.fromClient(early.Bytes())
	}
}
