package engine

import (
	"encoding/binary"
	"net/netip"

	"reprise/backend/proxy"
	"reprise/internal/queue"
)

// proxyHeader returns the header about the client for the backend, in the loop's buffer.
func (f *flow) proxyHeader() []byte {
	l := f.loop
	var h proxy.Header
	if f.prefix != nil {
		h = *f.prefix // the facts from the proxy before us
	} else {
		h.Source, h.Destination = f.peer, localAddress(f.client.fd)
		h.Local = !h.Source.IsValid() || !h.Destination.IsValid()
	}
	if len(h.UniqueID) == 0 {
		l.connections++
		binary.BigEndian.PutUint64(l.uniqueID[8:], l.connections)
		h.UniqueID = l.uniqueID[:]
	}
	if f.tls != nil {
		info := f.tls.Info()
		h.ALPN, h.Authority = info.ALPN, info.ServerName
		h.TLS = &proxy.TLS{
			Version: info.Protocol(), Cipher: info.Cipher(), Resumed: info.Resumed(),
			Owner: info.Owner,
		}
		if cert := f.tls.ClientCertificate(); cert != nil {
			h.TLS.ClientCert, h.TLS.Verified, h.TLS.CommonName = true, true, cert.Subject.CommonName
		}
	}
	if f.route.pool.Options().SendProxy == 1 {
		l.message = proxy.AppendV1(l.message[:0], &h)
	} else {
		l.message = proxy.AppendV2(l.message[:0], &h)
	}
	return l.message
}

// readPrefix reads the PROXY header that comes before everything else, if this client must send
// one.
func (f *flow) readPrefix() {
	l := f.loop
	for f.phase == prefixing && f.client.readable {
		n, err := f.client.read(l.in)
		switch {
		case err != nil:
			f.end(causeClientGone, atOnce)
		case f.client.ended():
			f.end(causeProxyHeader, atOnce)
		case n > 0:
			l.count.Flows.CipherInBytes.Add(uint64(n))
			f.early.Push(l.in[:n])
			f.parsePrefix()
		}
	}
}

func (f *flow) parsePrefix() {
	p := f.early.Bytes()
	if !trusted(f.settings.AcceptProxy, f.peer.Addr()) {
		// Any client could claim any address. TLS and HTTP would refuse the header anyway, but a
		// raw backend might believe it.
		const certain = 13 // bytes that tell
		switch {
		case !proxy.LooksLike(p):
			f.afterPrefix(0)
		case len(p) >= certain:
			f.end(causeProxyHeader, atOnce)
		}
		return
	}
	switch h, n, err := proxy.Parse(p); {
	case err != nil:
		f.end(causeProxyHeader, atOnce)
	case n > 0:
		if !h.Local {
			f.peer, f.prefix = h.Source, &h
			if f.log != nil {
				f.log.Debug("PROXY header", "client", clientName(f))
			}
			if !f.connectPeer() {
				return
			}
		}
		f.afterPrefix(n)
	}
}

// afterPrefix continues with the bytes after the first n.
func (f *flow) afterPrefix(n int) {
	l := f.loop
	early := f.early
	f.early = queue.Queue{}
	defer early.Drop()
	rest := early.Bytes()[n:]
	if f.tls != nil {
		f.phase = handshaking
		if len(rest) > 0 {
			f.heard = true
			f.handshakeStep(f.tls.Feed(l.out, rest))
		}
		return
	}
	if f.settings.Peek != nil {
		f.beginPeeking()
		f.peekAt(rest)
		return
	}
	l.handshakes.remove(f)
	f.opened("")
	if f.phase == serving {
		f.fromClient(rest)
	}
}

// trusted reports whether one of the prefixes contains addr. A client at a unix socket, which has
// no address, is on this machine and was admitted by the socket's permissions.
func trusted(prefixes []netip.Prefix, addr netip.Addr) bool {
	if !addr.IsValid() {
		return len(prefixes) > 0
	}
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
