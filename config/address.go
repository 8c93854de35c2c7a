package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is a TCP, UDP or unix-domain socket address. The zero Address means "none". Addresses
// that mean the same text compare equal with ==.
type Address struct {
	// Network is "tcp", "udp" or "unix".
	Network string
	// Host is an IP address without brackets, a DNS name, or empty for every address of the
	// machine; not for unix.
	Host string
	// Port is 0 to 65535; not for unix.
	Port int
	// Path is the socket's absolute path; unix only.
	Path string
}

// maxUnixPath is what sockaddr_un.sun_path holds on Linux beside its terminating zero.
const maxUnixPath = 107

const addressForms = "write host:port, :port, [v6]:port or /unix/path"

// ParseAddress reads host:port, :port, [v6]:port or /unix/path. The Address is never one of UDP.
// Names are not resolved.
func ParseAddress(s string) (Address, error) {
	if !strings.HasPrefix(s, "/") {
		return parseInternet("tcp", s, addressForms)
	}
	if len(s) > maxUnixPath {
		return Address{}, fmt.Errorf("path of %d bytes: a unix socket's path has at most %d",
			len(s),
			maxUnixPath)
	}
	return Address{Network: "unix", Path: s}, nil
}

// parseInternet reads an address with a port; forms say what would be right.
func parseInternet(network, s, forms string) (Address, error) {
	switch {
	case s == "":
		return Address{}, errors.New("no address: " + forms)
	case strings.HasPrefix(s, "=") || strings.HasPrefix(s, "fd://"):
		return Address{}, errors.New("inherited sockets are not supported: " + forms)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, splitError(s, forms)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Address{}, fmt.Errorf("bad port %q: write a number from 0 to 65535", port)
	}
	if host, err = canonicalHost(host); err != nil {
		return Address{}, err
	}
	return Address{Network: network, Host: host, Port: int(n)}, nil
}

// String returns the address in the form that operators write and net.Dial takes; empty for the
// zero Address.
func (a Address) String() string {
	switch a.Network {
	case "tcp", "udp":
		return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
	case "unix":
		return a.Path
	default:
		return ""
	}
}

// IsZero reports whether a is "none".
func (a Address) IsZero() bool { return a == Address{} }

// splitError says in the operator's words why net.SplitHostPort refused s.
func splitError(s, forms string) error {
	switch _, err := netip.ParseAddr(s); {
	case err == nil && strings.Contains(s, ":"):
		return fmt.Errorf("no port: write [%s]:port", s)
	case !strings.Contains(s, ":") || strings.HasSuffix(s, "]"):
		return errors.New("no port: " + forms)
	default:
		return errors.New("not an address: " + forms)
	}
}

// canonicalHost checks host and gives names and addresses one spelling.
func canonicalHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), nil
	}
	host = strings.ToLower(host)
	for _, c := range host {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return "", fmt.Errorf("bad host %q: write an IP address or a DNS name", host)
		}
	}
	if strings.Trim(host, "0123456789.") == "" && host != "" {
		return "", fmt.Errorf("bad IPv4 address %q: write four numbers from 0 to 255", host)
	}
	return host, nil
}
