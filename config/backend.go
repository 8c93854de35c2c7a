package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"reprise/config/suggest"
	"reprise/config/values"
)

// unstated is the MaxConns of a backend that takes its pool's.
const unstated = -1

// addBackend adds a backend to r's pool.
func (b *builder) addBackend(r Router, value string) (err error) {
	text, more, stated := strings.Cut(value, ",")
	backend := Backend{Text: strings.TrimSpace(text), Weight: 1, MaxConns: unstated}
	if backend.Protocol, backend.TLS, backend.Addr, err = parseEndpoint(r, backend.Text); err != nil {
		return err
	}
	if stated {
		if err := backend.setOptions(more); err != nil {
			return err
		}
	}
	p := b.config.target(r)
	p.Backends = append(p.Backends, backend)
	return nil
}

// setOptions reads the options behind a backend's address.
func (b *Backend) setOptions(s string) error {
	pairs, err := values.Pairs(s)
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, p := range pairs {
		if seen[p.Key] {
			return fmt.Errorf("key %q stands twice", p.Key)
		}
		seen[p.Key] = true
		switch p.Key {
		case "weight":
			b.Weight, err = values.Int(p.Value, 1, 1000)
		case "max_connections":
			b.MaxConns, err = values.Int(p.Value, 0, math.MaxInt32)
		case "backup":
			if b.Backup = true; p.Value != "" {
				err = errors.New("write backup alone")
			}
		default:
			return suggest.UnknownKey(p.Key, []string{"backup", "max-connections", "weight"})
		}
		if err != nil {
			return fmt.Errorf("%s %q: %w", p.Key, p.Value, err)
		}
	}
	return nil
}

// parseEndpoint reads [SCHEME://]ADDR, where ADDR may also be unix:/path. Each Router has its own
// schemes.
func parseEndpoint(r Router, s string) (Protocol, bool, Address, error) {
	scheme, address, stated := strings.Cut(s, "://")
	if !stated {
		scheme, address = "", s
	}
	protocol, byTLS, err := parseScheme(r, strings.ToLower(scheme))
	if err != nil {
		return 0, false, Address{}, err
	}
	path, unix := strings.CutPrefix(address, "unix:")
	if unix && !strings.HasPrefix(path, "/") {
		return 0, false, Address{}, fmt.Errorf("bad path %q: write unix:/path", path)
	}
	if host, _, behind := strings.Cut(path, "/"); behind && host != "" {
		return 0, false, Address{},
			fmt.Errorf("a path behind the address: requests keep their own: "+
				"write %s", strings.TrimSuffix(s, address)+host)
	}
	addr, err := ParseAddress(path)
	if err == nil && addr.Network == "tcp" && addr.Port == 0 {
		err = errors.New("port 0: write the port that the backend listens on")
	}
	return protocol, byTLS, addr, err
}

// parseScheme returns what a backend speaks, and whether by TLS.
func parseScheme(r Router, scheme string) (_ Protocol, byTLS bool, err error) {
	switch {
	case r == HTTPRouter && (scheme == "" || scheme == "uwsgi"):
		return UWSGI, false, nil
	case r == HTTPRouter && (scheme == "http" || scheme == "https"):
		return HTTP, scheme == "https", nil
	case r == HTTPRouter && scheme == "h2c":
		return H2C, false, nil
	case r == HTTPRouter:
		return 0, false,
			fmt.Errorf("bad scheme %q: write uwsgi://ADDR, http://ADDR, https://ADDR, "+
				"h2c://ADDR, or ADDR for the uwsgi protocol", scheme)
	case scheme == "" || scheme == "tcp" || scheme == "tls":
		return TCP, scheme == "tls", nil
	default:
		return 0, false,
			fmt.Errorf("bad scheme %q: write tcp://ADDR or ADDR, or tls://ADDR; %s does "+
				"not read what it relays", scheme, r)
	}
}

// parseCheck reads off, tcp, tls, http or http:PATH.
func parseCheck(s string) (kind CheckKind, path string, err error) {
	switch word, path, stated := strings.Cut(s, ":"); {
	case s == "off":
		return NoCheck, "", nil
	case s == "tcp":
		return CheckTCP, "", nil
	case s == "tls":
		return CheckTLS, "", nil
	case s == "http":
		return CheckHTTP, "/", nil
	case word != "http" || !stated:
		return 0, "", errors.New("bad choice: write off or tcp or tls or http or http:/path")
	case !strings.HasPrefix(path, "/") || strings.ContainsFunc(path,
		func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }):
		return 0, "", fmt.Errorf("bad path %q: write one such as /healthz", path)
	default:
		return CheckHTTP, path, nil
	}
}

// parseNetworks reads addresses and networks separated by commas. all, where it is allowed, stands
// for every address.
func parseNetworks(s string, allowAll bool) ([]netip.Prefix, error) {
	if allowAll && s == "all" {
		return []netip.Prefix{
			netip.PrefixFrom(netip.IPv4Unspecified(), 0),
			netip.PrefixFrom(netip.IPv6Unspecified(), 0),
		}, nil
	}
	var networks []netip.Prefix
	for item := range strings.SplitSeq(s, ",") {
		network, err := parseNetwork(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	network, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("bad network %q: write one such as 10.0.0.0/8, "+
			"2001:db8::/32 or 192.0.2.1", s)
	case network.Addr().Is4In6(): // clients' addresses never have this form here
		return netip.Prefix{}, fmt.Errorf("bad network %q: write it as IPv4, such as 10.0.0.0/8", s)
	case network != network.Masked(): // either the length is wrong or the address
		return netip.Prefix{}, fmt.Errorf("bad network %q: write %v, or %v for one address", s,
			network.Masked(), network.Addr())
	}
	return network, nil
}
