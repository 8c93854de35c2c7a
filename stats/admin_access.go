package stats

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
)

// Access decides which clients may control a node by TCP: those that know its token. The zero value
// lets no client in. It is used by any goroutine.
type Access struct {
	// its digest, so that the token itself is not kept in memory
	token atomic.Pointer[[sha256.Size]byte]
}

// SetToken lets in only clients that know token; an empty one lets none in.
func (a *Access) SetToken(token []byte) {
	if len(token) == 0 {
		a.token.Store(nil)
		return
	}
	digest := sha256.Sum256(token)
	a.token.Store(&digest)
}

// guard passes only requests with the token to h.
func (a *Access) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var want *[sha256.Size]byte
		if a != nil {
			want = a.token.Load()
		}
		if want == nil {
			http.Error(w,
				"by TCP this takes a token, and the node has none: ask by its unix socket, or give it an admin-token-file",
				http.StatusForbidden)
			return
		}
		given, isToken := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given)) // of equal length for any input
		if !isToken || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="reprise"`)
			http.Error(w, "by TCP this takes the token of the node's admin-token-file",
				http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hosts are the names that an admin server accepts. A web page can make a browser ask any address
// by a name of the page's own (DNS rebinding), and then reads the answer as its own: but it cannot
// choose the Host that the browser sends, which is that name.
type hosts []string

// hostsOf returns the names of a server at address: its host, localhost, this machine's name, and
// more.
func hostsOf(address string, more []string) hosts {
	names := hosts{"localhost"}
	if strings.Contains(address, "/") {
		names = append(names, "admin") // what commands call a unix socket
	} else if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		names = append(names, strings.ToLower(host))
	}
	if machine, err := os.Hostname(); err == nil {
		names = append(names, strings.ToLower(machine))
	}
	return append(names, more...)
}

// only passes requests whose Host names the server to next. A request without Host is HTTP/1.0,
// which no browser speaks.
func (h hosts) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "" && !h.has(r.Host) {
			http.Error(w,
				"the admin server does not accept this name: ask by its address, or write admin-host", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// has reports whether hostPort names the server. An address always does: a page loaded from an
// address comes from the owner of that address.
func (h hosts) has(hostPort string) bool {
	host := hostPort
	if name, _, err := net.SplitHostPort(hostPort); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return slices.Contains(h, host)
}
