package clients

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"reprise/internal/nettest"
)

// Clients that are programs of their own.
var (
	openSSL  = client{name: "openssl", do: visitOpenSSL}
	curl     = client{name: "curl", do: visitCurl}
	gnuTLS   = client{name: "gnutls-cli", do: visitGnuTLS}
	nss      = client{name: "nss", do: visitNSS}
	botan    = client{name: "botan", do: visitBotan}
	chromium = client{name: "chromium", do: visitChromium, parallel: true}
)

func visitOpenSSL(t *testing.T, v *visit) (said []bool) {
	nettest.Need(t, "openssl")
	session := filepath.Join(t.TempDir(), "session.pem")
	for i := range visitLen {
		args := append(openSSLArgs(v), "-sess_out", session)
		if _, err := os.Stat(session); i > 0 && err == nil { // it writes none that cannot be resumed
			args = append(args, "-sess_in", session)
		}
		r := run(t, "openssl", args...)
		if !strings.Contains(r.Stdout, ping) {
			t.Fatalf("no answer in:\n%s%s", r.Stdout, r.Stderr)
		}
		said = append(said, strings.Contains(r.Stdout, "Reused, TLSv1"))
	}
	return said
}

func openSSLArgs(v *visit) []string {
	args := []string{
		"s_client", "-connect", v.addr(), "-servername", "localhost", "-CAfile", v.caFile, "-verify_return_error",
		pick(v, "-tls1_2", "-tls1_3"),
		"-ign_eof", // until the backend closes: TLS 1.3 tickets come with the answer
	}
	if v.offer == byID {
		args = append(args, "-no_ticket")
	}
	if v.retry {
		args = append(args, "-groups", "P-521:P-256")
	}
	if v.sha384 {
		args = append(args, "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384", "-ciphersuites", "TLS_AES_256_GCM_SHA384")
	}
	if v.cert != nil {
		args = append(args, "-cert", v.cert.CertFile, "-key", v.cert.KeyFile)
	}
	return args
}

func visitCurl(t *testing.T, v *visit) []bool {
	nettest.Need(t, "curl")
	version := pick(v, "1.2", "1.3")
	args := []string{
		"--silent", "--show-error", "--http1.1", "--cacert", v.caFile, "--tlsv" + version, "--tls-max", version,
		"--resolve", "localhost:" + v.port + ":" + v.host,
	}
	if v.retry {
		args = append(args, "--curves", "P-521:P-256")
	}
	if v.cert != nil {
		args = append(args, "--cert", v.cert.CertFile, "--key", v.cert.KeyFile)
	}
	for range visitLen {
		args = append(args, "https://localhost:"+v.port+"/")
	}
	r := run(t, "curl", args...)
	if got := strings.Count(r.Stdout, "page"); got != visitLen {
		t.Fatalf("%d pages, want %d in:\n%s%s", got, visitLen, r.Stdout, r.Stderr)
	}
	return nil // curl's messages about resumption differ from release to release
}

func visitGnuTLS(t *testing.T, v *visit) []bool {
	nettest.Need(t, "gnutls-cli")
	r := run(t, "gnutls-cli", gnuTLSArgs(v)...)
	if !strings.Contains(r.Stdout, ping) {
		t.Fatalf("no answer in:\n%s%s", r.Stdout, r.Stderr)
	}
	return []bool{false, strings.Contains(r.Stdout, "*** This is a resumed session")}
}

func gnuTLSArgs(v *visit) []string {
	priority := "NORMAL:-VERS-ALL:+VERS-TLS" + pick(v, "1.2", "1.3")
	if v.offer == byID {
		priority += ":%NO_TICKETS"
	}
	if v.noEMS {
		priority += ":%NO_SESSION_HASH"
	}
	if v.retry {
		priority += ":-GROUP-ALL:+GROUP-SECP521R1:+GROUP-SECP256R1"
	}
	args := []string{
		v.host, "--port", v.port, "--x509cafile", v.caFile, "--sni-hostname", "localhost", "--verify-hostname", "localhost",
		"--priority", priority, "--single-key-share", "--resume",
	}
	if v.version != 0x0303 {
		args = append(args, "--waitresumption")
	}
	if v.cert != nil {
		args = append(args, "--x509certfile", v.cert.CertFile, "--x509keyfile", v.cert.KeyFile)
	}
	return args
}

func visitNSS(t *testing.T, v *visit) []bool {
	nettest.Need(t, "tstclnt", "certutil", "pk12util", "openssl")
	database := nssDatabase(t, v)
	request := filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(request, []byte(ping), 0o600); err != nil {
		t.Fatal(err)
	}
	version := pick(v, "tls1.2", "tls1.3")
	args := []string{
		"-h", v.host, "-p", v.port, "-a", "localhost", "-d", database, "-V", version + ":" + version,
		"-A", request, "-L", fmt.Sprint(visitLen), "-v",
	}
	if v.offer != byID {
		args = append(args, "-u")
	}
	if v.retry {
		args = append(args, "-I", "FF2048,P256")
	}
	if v.cert != nil {
		args = append(args, "-n", "alice")
	}
	r := run(t, "tstclnt", args...)
	var said []bool
	last := "0"
	for _, m := range regexp.MustCompile(`(?m)^ *(\d+) cache hits`).FindAllStringSubmatch(r.Stdout+r.Stderr, -1) {
		said = append(said, m[1] != last) // it counts from the first connection on
		last = m[1]
	}
	return said
}

// nssDatabase makes a database of certificates for NSS.
func nssDatabase(t *testing.T, v *visit) string {
	dir := t.TempDir()
	run(t, "certutil", "-N", "-d", dir, "--empty-password")
	run(t, "certutil", "-A", "-d", dir, "-n", "CA", "-t", "C,,", "-i", v.caFile)
	if v.cert != nil {
		bundle := filepath.Join(dir, "alice.p12")
		run(t, "openssl", "pkcs12", "-export", "-in", v.cert.CertFile, "-inkey", v.cert.KeyFile, "-name", "alice",
			"-passout", "pass:", "-out", bundle)
		run(t, "pk12util", "-d", dir, "-i", bundle, "-W", "")
	}
	return dir
}

func visitBotan(t *testing.T, v *visit) (said []bool) {
	nettest.Need(t, "botan")
	database := filepath.Join(t.TempDir(), "sessions")
	for range visitLen { // it keeps no session of a server without a name
		// It does not wait for an answer once its input has ended.
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer out.Close()
		io.WriteString(out, ping)
		r := runWith(t, nettest.Command{
			Path: "botan",
			Args: []string{
				"tls_client", "localhost", "--port=" + v.port, "--trusted-cas=" + v.caFile, "--skip-system-cert-store",
				"--tls1.2", "--session-db=" + database, "--session-db-pass=x",
			},
			Stdin: in,
		})
		if !strings.Contains(r.Stdout, ping) {
			t.Fatalf("no answer in:\n%s%s", r.Stdout, r.Stderr)
		}
		said = append(said, !strings.Contains(r.Stdout, "Certificate validation"))
	}
	return said
}

// oneBrowser keeps browsers from running beside each other: each is several
// processes, large ones.
var oneBrowser sync.Mutex

func visitChromium(t *testing.T, v *visit) []bool {
	nettest.Need(t, "chromium") // the package with the shell alone is smaller, but does not know ssl-version-max
	oneBrowser.Lock()
	defer oneBrowser.Unlock()
	key := sha256.Sum256(v.fleet.cert.TLS.Leaf.RawSubjectPublicKeyInfo)
	r := runWith(t, nettest.Command{
		Path: "chromium",
		Args: []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
			"--no-first-run", "--no-proxy-server", "--disable-component-update", "--user-data-dir=" + t.TempDir(),
			"--ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(key[:]),
			"--host-resolver-rules=MAP localhost " + v.host, pick(v, "--ssl-version-max=tls1.2", "--ssl-version-min=tls1.3"),
			"--dump-dom", "https://localhost:" + v.port + "/",
		},
		Env: []string{"HOME=" + t.TempDir()},
	})
	if !strings.Contains(r.Stdout, "page") {
		t.Fatalf("no page in:\n%s%s", r.Stdout, r.Stderr)
	}
	return nil
}
