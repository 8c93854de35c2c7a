package node

import (
	"crypto/x509"
	"log/slog"
	"sync"
	"time"

	"reprise/config"
	"reprise/config/pki"
	"reprise/internal/metric"
)

// A certificateRow is a certificate that is offered.
type certificateRow struct {
	Listener string `json:"listener" label:"listener"`
	// "" is for clients that ask for no name, or an unknown one
	Name     string `json:"name" label:"name"`
	File     string `json:"file" label:"file"`
	NotAfter int64  `json:"not_after_timestamp_seconds" metric:"gauge" help:"When the certificate expires, in seconds since 1970."`
}

// A crlRow is a revocation list that clients are checked against.
type crlRow struct {
	File       string `json:"file" label:"file"`
	Issuer     string `json:"issuer" label:"issuer"`
	NextUpdate int64  `json:"next_update_timestamp_seconds" metric:"gauge" help:"When the revocation list expires, in seconds since 1970: from then on clients of its issuer are refused."`
}

// An ending is something in a file that expires.
type ending struct {
	file string
	at   time.Time
	says func(now time.Time) string // "" while there is no warning
	told time.Time                  // when it was last warned about
}

// expiry knows when certificates, offered or shown to backends, and revocation lists end. It is
// read by any goroutine.
type expiry struct {
	mu      sync.Mutex
	rows    []certificateRow
	crls    []crlRow
	endings []*ending
	names   []string // of the certificates
}

// setExpiry watches the certificates and lists in force from now on.
func (n *Node) setExpiry() {
	s := n.now()
	n.expiry.set(s.config, n.offered, n.revoked, shownToBackends(s.pools), time.Now())
}

// shownToBackends returns the certificates that are shown to backends, by file.
func shownToBackends(pools []*pool) map[string]*x509.Certificate {
	shown := make(map[string]*x509.Certificate)
	for _, p := range pools {
		if policy := p.Options().TLS; policy != nil && policy.Certificate != nil {
			shown[p.config.TLS.CertFile] = policy.Certificate.Leaf
		}
	}
	return shown
}

// set takes the certificates and lists in force from now on. The configuration's warnings have
// covered what is due at once.
func (e *expiry) set(c *config.Config, all offered, revoked revocations,
	shown map[string]*x509.Certificate, now time.Time,
) {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := make(map[string]time.Time) // of those that have not changed
	for _, end := range e.endings {
		told[end.key()] = end.told
	}
	e.rows, e.crls, e.endings, e.names = []certificateRow{}, []crlRow{}, nil, nil
	rows, files := make(map[certificateRow]bool), make(map[string]bool)
	for i, served := range all {
		if served == nil {
			continue
		}
		listener := c.Listeners[i].Router.String() + " " + c.Listeners[i].Addr.String()
		if c.Listeners[i].Router == config.HTTPRouter {
			// as it is configured, and counted elsewhere
			listener = "https " + c.Listeners[i].Addr.String()
		}
		for _, o := range served.offers {
			leaf := o.read.TLS.Leaf
			if row := (certificateRow{listener, o.Name, o.source(), leaf.NotAfter.Unix()}); !rows[row] {
				rows[row] = true
				e.rows = append(e.rows, row)
			}
			if file := o.source(); !files[file] {
				files[file] = true
				e.names = append(e.names, leaf.DNSNames...)
				e.add(file, leaf, now)
			}
		}
	}
	for file, leaf := range shown {
		if !files[file] { // it may be offered too
			e.add(file, leaf, now)
		}
	}
	for file, lists := range revoked {
		for _, list := range lists {
			if list.NextUpdate.IsZero() {
				continue
			}
			e.crls = append(e.crls, crlRow{file, list.Issuer.String(), list.NextUpdate.Unix()})
			e.endings = append(e.endings, &ending{
				file, list.NextUpdate,
				func(now time.Time) string { return pki.CRLExpiry(list, now) }, now,
			})
		}
	}
	for _, end := range e.endings {
		if at, ok := told[end.key()]; ok {
			end.told = at
		}
	}
}

// add watches a certificate. mu is held.
func (e *expiry) add(file string, leaf *x509.Certificate, now time.Time) {
	e.endings = append(e.endings, &ending{
		file, leaf.NotAfter,
		func(now time.Time) string { return pki.Expiry(leaf, now) }, now,
	})
}

// key tells endings apart.
func (e *ending) key() string { return e.file + " " + e.at.String() }

// snapshot returns the rows of certificates, for the statistics.
func (e *expiry) snapshot() []certificateRow {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rows
}

// dnsNames returns the names of the certificates.
func (e *expiry) dnsNames() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.names
}

// crlSnapshot returns the rows of revocation lists.
func (e *expiry) crlSnapshot() []crlRow {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.crls
}

// warnings returns a line for each certificate and list that has expired or will soon:
// once a day, and when it ends.
func (e *expiry) warnings(now time.Time) (lines []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, end := range e.endings {
		ended := now.After(end.at) && !end.told.After(end.at)
		if now.Sub(end.told) < 24*time.Hour && !ended {
			continue
		}
		if line := end.says(now); line != "" {
			end.told = now
			lines = append(lines, end.file+" "+line)
		}
	}
	return lines
}

// watch looks every minute until the returned function is called.
func (e *expiry) watch() (stop func()) {
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(time.Minute)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-done:
				return
			}
			for _, line := range e.warnings(time.Now()) {
				slog.Warn(line)
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// reloads counts them. It is written by one goroutine.
type reloads struct {
	Done   metric.Counter `json:"done" help:"Reloads that succeeded."`
	Failed metric.Counter `json:"failed" help:"Reloads that changed nothing because of an error."`
	OK     metric.Gauge   `json:"last_ok" help:"1 if the last reload succeeded, or there was none."`
	Last   metric.Gauge   `json:"last_success_timestamp_seconds" help:"When files were last read with success, in seconds since 1970: at the start or by a reload."`
}

// note counts and logs the result of a reload.
func (r *reloads) note(err error, now time.Time) {
	if err != nil {
		r.Failed.Inc()
		r.OK.Set(0)
		slog.Error("not reloaded, all goes on as before", "error", err)
		return
	}
	r.Done.Inc()
	r.start(now)
}

func (r *reloads) start(now time.Time) {
	r.OK.Set(1)
	r.Last.Set(now.Unix())
}
