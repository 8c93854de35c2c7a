package subscription

import (
	"net/netip"
	"strings"
)

// A Member is a subscriber: a backend for a host.
type Member struct {
	Host    string // in lower case, with a port or without
	Network string // "tcp" or "unix"
	Address string // IP:port or a path
	HTTP    bool   // it speaks HTTP instead of the uwsgi protocol
	Backup  bool
	Weight  int // at least 1
}

// id identifies a member.
type id struct{ host, address string }

func (m *Member) id() id { return id{m.Host, m.Address} }

const (
	maxHost   = 255
	maxWeight = 1 << 16
	// the kernel's limit for the path of a unix socket
	maxPath = 107
)

// member makes a Member from a packet that came from sender, or returns why not.
func (p *Packet) member(sender netip.Addr, signed bool) (m Member, why Refusal) {
	m = Member{HTTP: p.HTTP, Backup: p.Backup != 0, Weight: int(min(max(p.Weight, 1), maxWeight))}
	if p.Modifier1 != 0 || p.Modifier2 != 0 {
		return m, RefusedModifier
	}
	if m.Host, why = parseHost(p.Key); why != Accepted {
		return m, why
	}
	m.Network, m.Address, why = parseAddress(string(p.Address), sender, signed)
	return m, why
}

// parseHost reads a domain as in a Host field, and converts it to the form in which requests are
// compared.
func parseHost(key []byte) (string, Refusal) {
	if len(key) == 0 || len(key) > maxHost {
		return "", RefusedKey
	}
	name, port, hasPort := strings.Cut(strings.ToLower(string(key)), ":")
	if key[0] == '[' {
		end := strings.IndexByte(string(key), ']') + 1
		address, err := netip.ParseAddr(strings.Trim(string(key[:end]), "[]"))
		if err != nil || !address.Is6() || address.Zone() != "" {
			return "", RefusedKey
		}
		name = "[" + address.String() + "]"
		port, hasPort = strings.CutPrefix(string(key[end:]), ":")
		if !hasPort && port != "" {
			return "", RefusedKey
		}
	} else if name = strings.TrimSuffix(name, "."); !isName(name) {
		return "", RefusedKey
	}
	if !hasPort {
		return name, Accepted
	}
	if v, ok := parseNumber([]byte(port)); !ok || v == 0 || v > 65535 || port[0] == '0' {
		return "", RefusedKey
	}
	return name + ":" + port, Accepted
}

func isName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// parseAddress reads the address at which a subscriber at sender listens. A unix socket is accepted
// from this machine only; the table decides which ones.
func parseAddress(s string, sender netip.Addr, signed bool) (network, address string, why Refusal) {
	if strings.HasPrefix(s, "/") {
		if len(s) > maxPath || strings.ContainsFunc(s,
			func(r rune) bool { return r < ' ' || r == 0x7f }) || !sender.IsLoopback() {
			return "", "", RefusedAddress
		}
		return "unix", s, Accepted
	}
	if strings.HasPrefix(s, ":") {
		s = "0.0.0.0" + s
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 || a.Addr().Zone() != "" {
		return "", "", RefusedAddress
	}
	ip := a.Addr().Unmap()
	if ip.IsUnspecified() {
		if signed {
			// a host that records the packet could resend it under its own address
			return "", "", RefusedAddress
		}
		ip = sender.WithZone("")
	}
	switch {
	case !ip.IsValid(), ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "", "", RefusedAddress
	case ip.IsLoopback() && !sender.IsLoopback(): // another machine's loopback is not ours
		return "", "", RefusedAddress
	case ip.IsLinkLocalUnicast():
		// a cloud's metadata service, which hands out credentials, at 169.254.169.254
		return "", "", RefusedAddress
	}
	return "tcp", netip.AddrPortFrom(ip, a.Port()).String(), Accepted
}
