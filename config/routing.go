package config

import (
	"net/netip"
	"time"

	"reprise/internal/tuning"
)

// Router is a family of listeners that treat connections alike and share the backends of one Pool.
type Router uint8

const (
	// SSLRouter terminates TLS and relays the plaintext as it is.
	SSLRouter Router = iota
	// RawRouter relays TCP as it is: if it carries TLS, the backends terminate it.
	RawRouter
	// HTTPRouter reads HTTP requests, with or without TLS, and distributes them one by one.
	HTTPRouter
)

// Routers are all routers, in the order of Config.Pools.
var Routers = [...]Router{SSLRouter, RawRouter, HTTPRouter}

// String returns the name that begins the options of the family.
func (r Router) String() string { return [...]string{"sslrouter", "rawrouter", "http"}[r] }

// howSNI says how r learns the server name.
func (r Router) howSNI() string {
	if r == RawRouter {
		return "TLS is not decrypted: its ClientHello is looked at, and passed on with all the rest"
	}
	return "A name whose CLIENTCA is not that of all names must have a pool of its own"
}

// Listener is one address that clients connect to.
type Listener struct {
	// Source says where the listener was written, such as "edge.ini:3" or "--sslrouter".
	Source string
	// Router says how its connections are treated, and so which Pool they go to.
	Router Router
	// Addr is where it listens. Port 0 lets the kernel choose.
	Addr Address
	// TLS says how it speaks TLS; nil for RawRouter and for HTTPRouter without https.
	TLS *TLS
	// RedirectPort, if not 0, answers every request with a redirection to https at that port,
	// instead of by a backend.
	RedirectPort int
}

// TLS is how a listener speaks TLS.
type TLS struct {
	// Policy is for clients that send no server name, or one that has no certificate.
	Policy
	// Certs holds every certificate of the listener: its own, whose Name is empty, then those given
	// with sni for all listeners. Several may share a name (RSA and ECDSA): the client's signature
	// algorithms decide. The first is the fallback.
	Certs []Certificate
	// ALPN lists the application protocols to negotiate, most wanted first; nil negotiates none.
	ALPN []string
	// SessionContext separates this listener's sessions from those of listeners with another
	// context.
	SessionContext string
}

// Policy is what the terminator demands of a client under one server name. A session made under one
// policy must not be resumed under another.
type Policy struct {
	// Ciphers are the TLS 1.2 suites offered, as crypto/tls ids; nil means crypto/tls's own secure
	// list. TLS 1.3 suites are always offered.
	Ciphers []uint16
	// ClientCA is the PEM file of authorities whose client certificates are accepted; empty means
	// none is asked for.
	ClientCA string
	// ClientCARequired refuses clients that send no certificate; else a certificate is optional,
	// but verified if sent.
	ClientCARequired bool
}

// Certificate is a certificate chain with its private key; both were read and match.
type Certificate struct {
	// Name is the server name (SNI) it is for, in lower case: "www.example.com" or "*.example.com";
	// empty means every name that has no certificate of its own.
	Name string
	// CertFile is the PEM file of the chain, leaf first.
	CertFile string
	// KeyFile is the PEM file of the leaf's private key.
	KeyFile string
	// ACME says that the certificate comes from an authority by ACME and has no files.
	ACME bool
	// Policy holds for handshakes under Name: the listener's unless sni stated its own. All
	// certificates that share a name share the policy.
	Policy
}

// Pool holds the backends of one Router's listeners, and how they are treated.
type Pool struct {
	// Backends are in the order written: at least one, if a listener of the Router relays.
	Backends []Backend
	// Balance chooses the next of them.
	Balance Balance
	// Retries is how many further backends are tried when one cannot be connected to.
	Retries int
	// Grace is how long a backend that failed is left alone.
	Grace time.Duration
	// SlowStart is how long a backend that came back takes to get its full share; 0 gives it at
	// once.
	SlowStart time.Duration
	// ConnectTimeout bounds one attempt to connect.
	ConnectTimeout time.Duration
	// IdleTimeout closes a flow on which nothing moved for this long, in either direction.
	IdleTimeout time.Duration
	// MaxConns bounds the connections to each backend that states no bound; 0 means none. Read the
	// Backend's, which is final.
	MaxConns int
	// QueueLen bounds the flows that wait while all backends are at their MaxConns; 0 lets none
	// wait.
	QueueLen int
	// Check says how backends are probed.
	Check Check
	// TLS says how to speak TLS with its backends.
	TLS BackendTLS
	// SendProxy is the version of the PROXY header that tells backends the client's address.
	SendProxy ProxyVersion
	// AcceptProxy are the sources that must send a PROXY header; no other may. The listeners of the
	// Router share them.
	AcceptProxy []netip.Prefix
}

// BackendTLS says how to speak TLS with backends. Its files were read.
type BackendTLS struct {
	// CA is the PEM file of authorities that vouch for backends; empty means those of the system.
	CA string
	// Name is verified, and asked for by SNI; empty means each backend's host.
	Name string
	// Unverified says that any server that answers is taken for the backend.
	Unverified bool
	// CertFile and KeyFile are shown to backends that ask for a certificate; both are empty for
	// none.
	CertFile, KeyFile string
}

// NamedPool is a Pool that some connections or requests of a Router go to.
type NamedPool struct {
	Router Router
	Name   string // never empty nor "default", unique within the Router
	// Pool's IdleTimeout and AcceptProxy are those of the Router's default pool.
	Pool
}

// PoolRule sends what matches it to a pool. An empty condition matches everything; at least one is
// not empty.
type PoolRule struct {
	// Source says where the rule was written.
	Source string
	Router Router
	// SNI and Host are names in lower case, without a dot at the end; "*.example.com" stands for
	// one label. Host may be an IP address, as it stands in a Host field, and is empty unless the
	// Router is HTTPRouter.
	SNI, Host string
	// Path begins with "/" and ends without one; it stands for itself and what is below it.
	// HTTPRouter only.
	Path string
	// Pool is the name of one of NamedPools; empty is the default pool.
	Pool string
}

// Subscriptions say which servers may join pools at run time, by uWSGI's subscription protocol.
type Subscriptions struct {
	// Servers are the UDP addresses where subscriptions are received; none turns them off.
	Servers []Address
	// From are the networks whose subscriptions need no signature.
	From []netip.Prefix
	// Sockets are the directories in which unix sockets may be backends; without any none may.
	Sockets []string
	// Digest is the digest of signatures, "sha1", "sha256", "sha384" or "sha512"; empty means that
	// none is looked at.
	Digest string
	// KeyDir holds the public keys of signers: DOMAIN.pem.
	KeyDir string
	// KeyTolerance is how old the time in the first packet of a signer may be.
	KeyTolerance time.Duration
	// Tolerance is how long a backend that no longer announces itself is kept.
	Tolerance time.Duration
}

// Backend is a server that connections or requests are relayed to.
type Backend struct {
	// Text is its address as the operator wrote it, for logs and statistics.
	Text string
	// Addr is where it listens; its port is never 0, its host may be a DNS name.
	Addr Address
	// Protocol is what it speaks: TCP unless the Router is HTTPRouter, which takes only the others.
	Protocol Protocol
	// TLS says that connections to it use TLS, as its Pool states.
	TLS bool
	// Weight is its share in proportion to those of the others, at least 1.
	Weight int
	// MaxConns bounds the connections to it; 0 means no bound.
	MaxConns int
	// Backup reserves it for when no other is usable.
	Backup bool
}

// Protocol is what a backend speaks.
type Protocol uint8

const (
	TCP   Protocol = iota // bytes as they come
	HTTP                  // HTTP/1.1
	UWSGI                 // the uwsgi protocol
	H2C                   // HTTP/2 without TLS
)

// Balance is a way to choose the next backend.
type Balance uint8

const (
	RoundRobin Balance = iota // in turn, by weight
	LeastConns                // the fewest connections for its weight
	Source                    // by the client's address, so that a client finds the same one again
	TwoChoices                // the better of two drawn at random
)

// Check says how backends are probed beside the connections they serve.
type Check struct {
	// Kind is the kind of probe; with NoCheck, Rise, Fall and the times have no meaning.
	Kind CheckKind
	// Path is what CheckHTTP asks for.
	Path string
	// Interval is the time between probes.
	Interval time.Duration
	// Timeout bounds one probe.
	Timeout time.Duration
	// Rise is how many probes in a row must succeed before a backend is used again.
	Rise int
	// Fall is how many in a row must fail before it is no longer used.
	Fall int
}

// CheckKind is what a probe does.
type CheckKind uint8

const (
	NoCheck   CheckKind = iota // nothing
	CheckTCP                   // connects
	CheckTLS                   // makes a TLS handshake
	CheckHTTP                  // asks for a path and expects 2xx or 3xx
)

// ProxyVersion is a version of the PROXY protocol's header, or 0 for none.
type ProxyVersion uint8

// HTTPOptions is how the HTTPRouter treats requests. Sizes are bytes.
type HTTPOptions struct {
	tuning.Requests
	// HTTP2 says whether clients are offered it over TLS.
	HTTP2 bool
	// MaxHeader bounds a request's line and fields together.
	MaxHeader int
	// AddHeaders are fields that every response gets, in the order written. Except for those that
	// may stand several times, the backend's of the name are replaced.
	AddHeaders []Header
	// RequestHeaders and ResponseHeaders are rules, each applied to the result of those before it.
	RequestHeaders, ResponseHeaders []HeaderRule
	// HSTS is the value of Strict-Transport-Security in responses over TLS; empty sends none.
	HSTS string
	// HostAsServerName makes SERVER_NAME of a request's Host, instead of this machine's name.
	HostAsServerName bool
}

// AccessLog says where requests and connections are logged.
type AccessLog struct {
	// File is appended to; "-" means standard output, empty means no log.
	File string
	// Format is "json" or "combined".
	Format string
	// Sample writes one line out of this many.
	Sample int
}
