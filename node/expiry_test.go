package node

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"reprise/config"
	"reprise/tlsconn"
)

// TestExpiryWarnings: a certificate or list that expires soon is warned about once a day and when
// it expires, even if other certificates are renewed all the time.
func TestExpiryWarnings(t *testing.T) {
	const day = 24 * time.Hour
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c := &config.Config{Listeners: make([]config.Listener, 1)}
	cert := func(file string, until time.Time) offer {
		o := offer{Certificate: config.Certificate{CertFile: file}, read: tlsconn.Certificate{}}
		o.read.TLS.Leaf = &x509.Certificate{NotBefore: until.Add(-90 * day), NotAfter: until}
		return o
	}
	lists := revocations{"clients.crl": {{
		Issuer: pkix.Name{CommonName: "authority"}, ThisUpdate: start.Add(-30 * day),
		NextUpdate: start.Add(30 * time.Hour),
	}}}
	var e expiry
	set := func(now time.Time) {
		shown := map[string]*x509.Certificate{
			"old.crt":    cert("old.crt", start.Add(3*day)).read.TLS.Leaf,
			"client.crt": cert("client.crt", start.Add(4*day)).read.TLS.Leaf,
		}
		e.set(c, offered{{offers: []offer{cert("old.crt", start.Add(3*day)), cert("new.crt", now.Add(80*day))}}}, lists,
			shown, now)
	}
	set(start)
	var said []string
	for now := start; now.Before(start.Add(4*day + 2*time.Hour)); now = now.Add(time.Hour) {
		if now.Hour()%6 == 1 {
			set(now) // another one is renewed
		}
		for _, line := range e.warnings(now) {
			said = append(said, now.Format("2 15h ")+strings.SplitN(line, ":", 2)[0])
		}
	}
	want := []string{
		"2 00h old.crt expires on 2030-01-04 00", "2 00h client.crt expires on 2030-01-05 00", "2 00h clients.crl has a revocation list of CN=authority that expires on 2030-01-02 06",
		"2 07h clients.crl has a revocation list of CN=authority that expired on 2030-01-02 06",
		"3 00h old.crt expires on 2030-01-04 00", "3 00h client.crt expires on 2030-01-05 00", "3 07h clients.crl has a revocation list of CN=authority that expired on 2030-01-02 06",
		"4 00h old.crt expires on 2030-01-04 00", "4 00h client.crt expires on 2030-01-05 00", "4 01h old.crt expired on 2030-01-04 00",
		"4 07h clients.crl has a revocation list of CN=authority that expired on 2030-01-02 06",
		"5 00h client.crt expires on 2030-01-05 00", "5 01h old.crt expired on 2030-01-04 00",
		"5 01h client.crt expired on 2030-01-05 00",
	}
	if got, want := strings.Join(said, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if rows := e.crlSnapshot(); len(rows) != 1 || rows[0].Issuer != "CN=authority" ||
		rows[0].NextUpdate != start.Add(30*time.Hour).Unix() {
		t.Errorf("got %+v", rows)
	}
}
