// Package storeurl reads the URLs of stores for sessions, for the package that checks one and the
// package that opens it.
package storeurl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Want describes a valid URL.
const Want = "want redis[s]://[user:password@]host:port[,host:port...][/db][?ca=FILE] or memcached://host:port[,host:port...]"

// A Location is a parsed URL of a store.
type Location struct {
	Scheme         string // redis, rediss or memcached
	User, Password string
	Hosts          []string // each host:port
	DB             int
	TLS            *tls.Config // rediss only
}

// String is the location without credentials.
func (l Location) String() string { return l.Scheme + "://" + strings.Join(l.Hosts, ",") }

// Parse reads a store's URL, and the file of authorities that it names. net/url would refuse
// several hosts, and quotes its input in errors: here they never show any part of it but option
// names, because a password with a "/" or ":" in it can end up in any place.
func Parse(raw string) (Location, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	l := Location{Scheme: scheme}
	port := "6379"
	switch {
	case !ok:
		return l, errors.New("not a URL")
	case scheme == "memcached":
		port = "11211"
	case scheme == "rediss":
		l.TLS = &tls.Config{MinVersion: tls.VersionTLS12} // the name to verify is each host's own
	case scheme != "redis":
		return l, errors.New("unknown scheme")
	}
	// An unescaped password ends before the last "@".
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if err := l.parseUser(rest[:at]); err != nil {
			return l, err
		}
		rest = rest[at+1:]
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	for i, host := range strings.Split(hosts, ",") {
		address, err := hostPort(host, port)
		if err != nil {
			return l, fmt.Errorf("host %d %w", i+1, err)
		}
		l.Hosts = append(l.Hosts, address)
	}
	if err := l.parseDB(path); err != nil {
		return l, err
	}
	return l, l.parseOptions(query)
}

func (l *Location) parseUser(info string) error {
	user, password, _ := strings.Cut(info, ":")
	var err1, err2 error
	l.User, err1 = url.PathUnescape(user)
	l.Password, err2 = url.PathUnescape(password)
	switch {
	case l.Scheme == "memcached":
		return errors.New("memcached takes no user and password")
	case err1 != nil || err2 != nil:
		return errors.New(`a "%" in user or password must be written %25`)
	case l.Password == "":
		return errors.New("a user without a password")
	}
	return nil
}

func (l *Location) parseDB(path string) error {
	if path == "" {
		return nil
	}
	db, err := strconv.Atoi(path)
	switch {
	case l.Scheme == "memcached":
		return errors.New("memcached has no numbered databases")
	case err != nil || db < 0:
		return errors.New("the database is not a number")
	case db != 0 && len(l.Hosts) > 1:
		return errors.New("a cluster has only database 0")
	}
	l.DB = db
	return nil
}

func (l *Location) parseOptions(query string) error {
	if query == "" {
		return nil
	}
	for _, option := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(option, "=")
		file, err := url.PathUnescape(value)
		switch {
		case name != "ca":
			return fmt.Errorf("unknown option %q", name)
		case l.TLS == nil:
			return errors.New("only rediss:// takes a ca")
		case err != nil:
			return errors.New(`a "%" in the name of the ca file must be written %25`)
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		l.TLS.RootCAs = x509.NewCertPool()
		if !l.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("ca: no certificate in %s", file)
		}
	}
	return nil
}

// hostPort completes an address with the default port. Its errors continue
// "host N".
func hostPort(address, defaultPort string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port, err = net.SplitHostPort(address + ":" + defaultPort)
	}
	if err != nil {
		return "", errors.New("is not host:port, or [host]:port for IPv6")
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", errors.New("has no port from 1 to 65535")
	}
	if host == "" {
		return "", errors.New("is empty")
	}
	if strings.ContainsAny(host, " \t\r\n") {
		return "", errors.New("contains white space")
	}
	return net.JoinHostPort(host, port), nil
}
