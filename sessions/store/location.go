package store

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

const wantURL = "want redis[s]://[user:password@]host:port[,host:port...][/db][?ca=FILE] or memcached://host:port[,host:port...]"

// A location is a parsed URL of a store.
type location struct {
	scheme         string // redis, rediss or memcached
	user, password string
	hosts          []string // each host:port
	db             int
	tls            *tls.Config // rediss only
}

// String is the location without credentials.
func (l location) String() string { return l.scheme + "://" + strings.Join(l.hosts, ",") }

// parseLocation reads a store's URL. net/url would refuse several hosts, and
// quotes its input in errors: here they never show any part of it but option
// names, because a password with a "/" or ":" in it can end up in any place.
func parseLocation(raw string) (location, error) {
	l, err := parse(raw)
	if err != nil {
		return location{}, fmt.Errorf("session store: %w; %s", err, wantURL)
	}
	return l, nil
}

func parse(raw string) (location, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	l := location{scheme: scheme}
	port := "6379"
	switch {
	case !ok:
		return l, errors.New("not a URL")
	case scheme == "memcached":
		port = "11211"
	case scheme == "rediss":
		l.tls = &tls.Config{MinVersion: tls.VersionTLS12} // the name to verify is each host's own
	case scheme != "redis":
		return l, errors.New("unknown scheme")
	}
	// What an unescaped password contains comes before the last "@".
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
		l.hosts = append(l.hosts, address)
	}
	if err := l.parseDB(path); err != nil {
		return l, err
	}
	return l, l.parseOptions(query)
}

func (l *location) parseUser(info string) error {
	user, password, _ := strings.Cut(info, ":")
	var err1, err2 error
	l.user, err1 = url.PathUnescape(user)
	l.password, err2 = url.PathUnescape(password)
	switch {
	case l.scheme == "memcached":
		return errors.New("memcached takes no user and password")
	case err1 != nil || err2 != nil:
		return errors.New(`a "%" in user or password must be written %25`)
	case l.password == "":
		return errors.New("a user without a password")
	}
	return nil
}

func (l *location) parseDB(path string) error {
	if path == "" {
		return nil
	}
	db, err := strconv.Atoi(path)
	switch {
	case l.scheme == "memcached":
		return errors.New("memcached has no numbered databases")
	case err != nil || db < 0:
		return errors.New("the database is not a number")
	case db != 0 && len(l.hosts) > 1:
		return errors.New("a cluster has only database 0")
	}
	l.db = db
	return nil
}

func (l *location) parseOptions(query string) error {
	if query == "" {
		return nil
	}
	for _, option := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(option, "=")
		file, err := url.PathUnescape(value)
		switch {
		case name != "ca":
			return fmt.Errorf("unknown option %q", name)
		case l.tls == nil:
			return errors.New("only rediss:// takes a ca")
		case err != nil:
			return errors.New(`a "%" in the name of the ca file must be written %25`)
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		l.tls.RootCAs = x509.NewCertPool()
		if !l.tls.RootCAs.AppendCertsFromPEM(pem) {
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
