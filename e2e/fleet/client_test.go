package fleet

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A holder is a client that has a session and offers it without regard to its lifetime: only the
// server's checks count.
type holder interface {
	// offer connects to addr, uses the connection, and reports whether the session
	// was resumed.
	offer(addr string) (resumed bool, err error)
	String() string
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// hold makes sessions at node i: by Go and by OpenSSL, in TLS 1.2 and 1.3.
func (f *fleet) hold(i int) (all []holder) {
	f.T.Helper()
	for _, version := range versions {
		all = append(all, f.goHolder(i, version), f.openSSLHolder(i, version))
	}
	return all
}

// resumes reports whether a holder's session resumes at node i.
func (f *fleet) resumes(i int, h holder) bool {
	f.T.Helper()
	resumed, err := h.offer(f.TLS(i))
	if err != nil {
		f.T.Fatalf("%v at node %d: %v", h, i, err)
	}
	return resumed
}

// wantAll checks that every session resumes at node i, at last.
func (f *fleet) wantAll(i int, holders []holder) {
	f.T.Helper()
	for _, h := range holders {
		nettest.Eventually(f.T, harness.Patience, func() bool { return f.resumes(i, h) }, "%v resumes at node %d", h, i)
	}
}

// wantNever offers the sessions to the nodes again and again for a while, so that datagrams between
// nodes have time to arrive.
func (f *fleet) wantNever(why string, holders []holder, nodes ...int) {
	f.T.Helper()
	const while = 1200 * time.Millisecond
	for end := time.Now().Add(while); time.Now().Before(end); {
		for _, i := range nodes {
			for _, h := range holders {
				if f.resumes(i, h) {
					f.T.Fatalf("%s: %v resumed at node %d", why, h, i)
				}
			}
		}
	}
}

// A goHolder offers one session only.
type goHolder struct {
	config  *tls.Config
	session *tls.ClientSessionState
	offered *tls.ClientSessionState // instead of session, if set
	born    time.Time
}

func (h *goHolder) String() string { return "Go, " + tls.VersionName(h.config.MaxVersion) }

// Get implements tls.ClientSessionCache.
func (h *goHolder) Get(string) (*tls.ClientSessionState, bool) {
	s := cmp.Or(h.offered, h.session)
	return s, s != nil
}

// Put implements tls.ClientSessionCache: the first session is kept.
func (h *goHolder) Put(_ string, s *tls.ClientSessionState) {
	if h.session == nil {
		h.session = s
	}
}

// newHolder makes a client without a session, whose clock stands still, so that no
// session seems old to it.
func (f *fleet) newHolder(version uint16) *goHolder {
	h := &goHolder{born: time.Now()}
	h.config = &tls.Config{
		RootCAs: f.PKI.CA.Pool(), ServerName: "localhost", MinVersion: version, MaxVersion: version,
		ClientSessionCache: h, Time: func() time.Time { return h.born },
	}
	return h
}

func (f *fleet) goHolder(i int, version uint16) *goHolder {
	f.T.Helper()
	h := f.newHolder(version)
	if resumed, err := h.offer(f.TLS(i)); err != nil || resumed || h.session == nil {
		f.T.Fatalf("%v at node %d: resumed is %v, got a session: %v, %v", h, i, resumed, h.session != nil, err)
	}
	return h
}

func (h *goHolder) offer(addr string) (resumed bool, err error) {
	raw, err := nettest.Dial(addr)
	if err != nil {
		return false, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(harness.Patience))
	conn := tls.Client(raw, h.config)
	if err := askLine(conn); err != nil {
		return false, err
	}
	return conn.ConnectionState().DidResume, nil
}

// askLine uses a connection and reads it to the end, so that sessions arrive.
func askLine(conn io.ReadWriter) error {
	if _, err := io.WriteString(conn, "ping\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && string(answer) != "ping\n" {
		err = fmt.Errorf("got %q", answer)
	}
	return err
}

// secret is that of the holder's session.
func (h *goHolder) secret(t *testing.T) []byte {
	t.Helper()
	return secretOf(t, h.session)
}

// secretOf returns the secret that must be in clear only in its owners' memories: the master secret
// of TLS 1.2 or the PSK of TLS 1.3.
func secretOf(t *testing.T, session *tls.ClientSessionState) []byte {
	t.Helper()
	encoded := harness.EncodedState(t, session)
	const before = 2 + 1 + 2 + 8 // version, type, cipher suite, time
	secret := encoded[before+1:][:encoded[before]]
	if len(secret) < 32 {
		t.Fatalf("a secret of %d bytes", len(secret))
	}
	return secret
}

// An openSSLHolder has its session in a file.
type openSSLHolder struct {
	f       *fleet
	version uint16
	file    string
}

func (h *openSSLHolder) String() string { return "OpenSSL, " + tls.VersionName(h.version) }

func (f *fleet) openSSLHolder(i int, version uint16) *openSSLHolder {
	f.T.Helper()
	nettest.Need(f.T, "openssl")
	h := &openSSLHolder{f, version, filepath.Join(f.T.TempDir(), "session.pem")}
	if resumed, err := h.connect(f.TLS(i), "-sess_out"); err != nil || resumed {
		f.T.Fatalf("%v at node %d: resumed is %v, %v", h, i, resumed, err)
	}
	if err := makeAgeless(h.file); err != nil {
		f.T.Fatal(err)
	}
	return h
}

func (h *openSSLHolder) offer(addr string) (bool, error) { return h.connect(addr, "-sess_in") }

func (h *openSSLHolder) connect(addr, memory string) (resumed bool, err error) {
	// Not nettest.Run, which logs all that hundreds of these print if a test fails.
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", "s_client", "-connect", addr, "-servername", "localhost",
		"-CAfile", h.f.PKI.CAFile, "-verify_return_error",
		map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}[h.version], "-ign_eof", memory, h.file)
	cmd.Stdin = strings.NewReader("ping\n")
	out, err := cmd.CombinedOutput()
	text := string(out)
	resumed = strings.Contains(text, "Reused, TLSv1.")
	if err != nil || !strings.Contains(text, "ping\n") || !resumed && !strings.Contains(text, "New, TLSv1.") {
		return false, fmt.Errorf("openssl: %v:\n%s", err, text)
	}
	return resumed, nil
}

// makeAgeless changes a session file so that OpenSSL offers its session for ever:
// SSL_SESSION's timeout [2] and ticketLifetimeHint [9] (ssl/ssl_asn1.c).
func makeAgeless(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s: no session", file)
	}
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(block.Bytes, &fields); err != nil {
		return err
	}
	year := []byte{0x02, 0x04, 0x01, 0xe1, 0x33, 0x80} // INTEGER 31536000
	for i := range fields {
		if f := &fields[i]; f.Class == asn1.ClassContextSpecific && (f.Tag == 2 || f.Tag == 9) {
			*f = asn1.RawValue{Class: f.Class, Tag: f.Tag, IsCompound: true, Bytes: year}
		}
	}
	if block.Bytes, err = asn1.Marshal(fields); err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
}
