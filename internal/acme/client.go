package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"

	"reprise/internal/metric"
)

// Options say what certificates a Client gets, and how.
type Options struct {
	Names     []string // in lower case, without wildcards; see SetNames
	Directory string   // URL of the authority
	Email     string   // the authority may write to; may be ""
	Storage   string   // a directory, or a URL of Redis
	Secrets   [][]byte // for Redis: the first seals, all open
	Roots     *x509.CertPool
	// NoHTTP and NoTLSALPN turn a kind of challenge off.
	NoHTTP, NoTLSALPN bool
	// Changed is called when Certificate has a new certificate for a name. It must not block.
	Changed func()
}

// A Client gets certificates. Its methods may be called from any goroutine.
type Client struct {
	o       Options
	cache   *certmagic.Cache
	config  *certmagic.Config // manages certificates
	brief   *certmagic.Config // likewise, if they are short-lived
	storage *storage
	decoy   net.Listener

	certificates atomic.Pointer[map[string]*tls.Certificate] // the issued ones, by name
	challenges   atomic.Pointer[map[string]*challenge]

	mu           sync.Mutex
	placeholders map[string]*tls.Certificate // of each name
	unmanaged    []string                    // names that maintain is to manage

	looking  sync.Mutex // one look for challenges at a time
	obtained metric.Counter
	failed   metric.Counter
	answered metric.Counter

	stop    context.CancelFunc
	running sync.WaitGroup
}

const (
	// lookEvery is how often a node looks for challenges of other nodes.
	lookEvery = 500 * time.Millisecond
	// settle is how long a node that orders waits for the others to have looked.
	settle = 3 * lookEvery
	// maxCheck is how often the client checks whether to renew certificates, more often if their
	// lives are short.
	maxCheck, minCheck = 10 * time.Minute, time.Second
	manageEvery        = 5 * time.Second // new names are looked for
	closeTime          = 2 * time.Second
	storageTime        = 5 * time.Second // for what a storage has for new names
	// briefLife is the life up to which a certificate is renewed without asking the authority when
	// (RFC 9773): its windows are some days wide.
	briefLife = 96 * time.Hour
)

// New makes a client with the certificates in the storage. It does not contact the authority yet.
func New(o Options) (*Client, error) {
	c := &Client{o: o}
	c.certificates.Store(new(map[string]*tls.Certificate))
	c.challenges.Store(new(map[string]*challenge))
	backend, err := openStorage(o.Storage, o.Secrets)
	if err != nil {
		return nil, fmt.Errorf("acme-storage: %w", err)
	}
	c.storage = &storage{Storage: backend, client: c}
	// certmagic listens for the authority's requests unless another listener already accepts there.
	// The loops answer those requests, so this decoy only accepts.
	if c.decoy, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		c.storage.close()
		return nil, err
	}
	go c.acceptNothing()
	log := logger()
	c.cache = certmagic.NewCache(c.cacheOptions(maxCheck))
	template := certmagic.Config{
		Storage: c.storage, OCSP: certmagic.OCSPConfig{DisableStapling: true}, Logger: log,
		OnEvent: c.onEvent,
	}
	c.config = certmagic.New(c.cache, template)
	port := c.decoy.Addr().(*net.TCPAddr).Port
	issuer := certmagic.NewACMEIssuer(c.config, certmagic.ACMEIssuer{
		CA: o.Directory, Email: o.Email, Agreed: true, TrustedRoots: o.Roots,
		DisableHTTPChallenge: o.NoHTTP, DisableTLSALPNChallenge: o.NoTLSALPN,
		ListenHost: "127.0.0.1", AltHTTPPort: port, AltTLSALPNPort: port, Logger: log,
	})
	c.config.Issuers = []certmagic.Issuer{issuer}
	template.Issuers, template.DisableARI = c.config.Issuers, true
	c.brief = certmagic.New(c.cache, template)
	c.storage.tokens = path.Join("acme", certmagic.StorageKeys.Safe(issuer.IssuerKey()),
		"challenge_tokens")

	if err := c.SetNames(o.Names); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

// SetNames sets the names for which the client gets certificates. When it returns, stored
// certificates of new names are in use.
func (c *Client) SetNames(names []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), storageTime)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.placeholders
	c.placeholders = make(map[string]*tls.Certificate, len(names))
	for _, name := range names {
		if cert := before[name]; cert != nil {
			c.placeholders[name] = cert
			delete(before, name)
			continue
		}
		var err error
		if c.placeholders[name], err = placeholder(name); err != nil {
			return err
		}
		if _, err := c.config.CacheManagedCertificate(ctx, name); err != nil &&
			!errors.Is(err, fs.ErrNotExist) {
			slog.Warn("acme: a stored certificate cannot be used", "name", name, "error", err)
		}
		c.unmanaged = append(c.unmanaged, name)
	}
	var gone []certmagic.SubjectIssuer
	for name := range before {
		gone = append(gone, certmagic.SubjectIssuer{Subject: name})
	}
	c.cache.RemoveManaged(gone)
	if c.lookLocked() {
		c.o.Changed()
	}
	return nil
}

// Start begins to get missing certificates and to renew those that expire, until Close.
func (c *Client) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.running.Go(func() { c.watch(ctx) })
	c.running.Go(func() { c.maintain(ctx) })
}

// Close stops the client. It gives up orders in progress and releases locks that others wait for.
// It does not wait for an answer longer than closeTime.
func (c *Client) Close() {
	released := make(chan struct{})
	go func() {
		defer close(released)
		if c.stop != nil {
			c.stop()
			c.running.Wait()
		}
		c.release()
	}()
	select {
	case <-released:
	case <-time.After(closeTime):
	}
}

func (c *Client) release() {
	c.cache.Stop()
	certmagic.CleanUpOwnLocks(context.Background(), logger())
	c.storage.close()
	_ = c.decoy.Close()
}

// watch follows changes by other nodes and certmagic. It waits only for the storage.
func (c *Client) watch(ctx context.Context) {
	for tick(ctx, lookEvery) {
		c.lookForChallenges(ctx)
		if c.look() {
			c.o.Changed()
		}
	}
}

// maintain gets the certificates of new names and renews those that expire.
func (c *Client) maintain(ctx context.Context) {
	var checked, managed time.Time
	for {
		now, every := time.Now(), c.checkEvery()
		if now.Sub(managed) >= manageEvery {
			managed = now
			c.manage(ctx)
		}
		if now.Sub(checked) >= every {
			checked = now
			c.cache.SetOptions(c.cacheOptions(every))
			if err := c.cache.RenewManagedCertificates(ctx); err != nil {
				slog.Error("acme: certificates were not looked at", "error", err)
			}
		}
		if !tick(ctx, minCheck) {
			return
		}
	}
}

// tick waits and reports whether to go on.
func tick(ctx context.Context, after time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(after):
		return true
	}
}

// manage begins to get and renew the certificates of new names. A name that cannot be looked up in
// the storage waits for the next time.
func (c *Client) manage(ctx context.Context) {
	c.mu.Lock()
	names := c.unmanaged
	c.unmanaged = nil
	c.mu.Unlock()
	for _, name := range names {
		var leaf *x509.Certificate
		if cert := (*c.certificates.Load())[name]; cert != nil {
			leaf = cert.Leaf
		}
		if err := c.configFor(leaf).ManageAsync(ctx, []string{name}); err != nil {
			slog.Error("acme: a name waits for the storage", "name", name, "error", err)
			c.mu.Lock()
			if c.placeholders[name] != nil { // else it was removed
				c.unmanaged = append(c.unmanaged, name)
			}
			c.mu.Unlock()
		}
	}
}

func (c *Client) cacheOptions(every time.Duration) certmagic.CacheOptions {
	return certmagic.CacheOptions{
		GetConfigForCert: func(cert certmagic.Certificate) (
			*certmagic.Config, error,
		) {
			return c.configFor(cert.Leaf), nil
		},
		RenewCheckInterval: every, Logger: logger(),
	}
}

func (c *Client) configFor(leaf *x509.Certificate) *certmagic.Config {
	if leaf != nil && leaf.NotAfter.Sub(leaf.NotBefore) < briefLife {
		return c.brief
	}
	return c.config
}

// checkEvery returns how often to check whether certificates are due for renewal, by the shortest
// life of one: renewal is due in the last third of a life.
func (c *Client) checkEvery() time.Duration {
	every := maxCheck
	for _, cert := range *c.certificates.Load() {
		every = min(every, cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)/60)
	}
	return max(every, minCheck)
}

// look takes certmagic's current certificate for each name, and reports whether any is new.
func (c *Client) look() (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookLocked()
}

func (c *Client) lookLocked() (changed bool) {
	before := *c.certificates.Load()
	now := make(map[string]*tls.Certificate, len(c.placeholders))
	for name := range c.placeholders {
		best := before[name]
		for _, cert := range c.cache.AllMatchingCertificates(name) {
			// The newest: a new one may expire before the last one would have.
			if leaf := cert.Leaf; leaf != nil &&
				(best == nil || leaf.NotBefore.After(best.Leaf.NotBefore)) {
				best = &cert.Certificate
				best.Leaf = leaf
			}
		}
		if best != nil {
			now[name] = best
		}
	}
	if maps.Equal(before, now) {
		return false
	}
	c.certificates.Store(&now)
	return true
}

// Certificate returns the certificate to serve under a name: until the authority has issued one, a
// placeholder that no client trusts. It returns nil for a name that is not among the client's
// names.
func (c *Client) Certificate(name string) (cert *tls.Certificate, issued bool) {
	if cert = (*c.certificates.Load())[name]; cert != nil {
		return cert, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.placeholders[name], false
}

func (c *Client) acceptNothing() {
	for {
		conn, err := c.decoy.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// onEvent logs and counts events of certmagic.
func (c *Client) onEvent(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		c.obtained.Inc()
		slog.Info("acme: a certificate was issued", "name", data["identifier"], "renewal",
			data["renewal"])
	case "cert_failed":
		c.failed.Inc()
		slog.Error("acme: no certificate was issued, another try follows", "name",
			data["identifier"], "error", data["error"])
	}
	return nil
}

// Stats are the statistics of a client.
type Stats struct {
	Names      int    `json:"names" metric:"gauge" help:"Names for which certificates are got by ACME."`
	Missing    int    `json:"missing" metric:"gauge" help:"Names that have none yet: their clients get one that they do not trust."`
	Obtained   uint64 `json:"obtained" metric:"counter" help:"Certificates that this node has obtained, renewals included."`
	Failed     uint64 `json:"failed" metric:"counter" help:"Orders of this node that failed."`
	Challenges uint64 `json:"challenges" metric:"counter" help:"Challenges of authorities, or of clients that act like one, that were answered."`
}

// Stats returns what has happened.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Names: len(c.placeholders), Missing: len(c.placeholders) - len(*c.certificates.Load()),
		Obtained: c.obtained.Load(), Failed: c.failed.Load(), Challenges: c.answered.Load(),
	}
}
