package clients

import (
	"crypto/tls"
	"fmt"
	"io"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// Clients that are libraries, with a program of ours around them.
var (
	java    = client{name: "java", do: visitJava}
	castle  = client{name: "bouncycastle", do: visitBouncyCastle}
	wolfSSL = client{name: "wolfssl", do: visitWolfSSL}
	mbedTLS = client{name: "mbedtls", do: visitMbedTLS}
	python  = client{name: "python", do: visitPython}
	pycurl  = client{name: "libcurl-gnutls", do: visitPycurl}
	node20  = client{name: "node", do: visitNode}
	erlang  = client{name: "erlang", do: visitErlang}
	golang  = client{name: "go", do: visitGo}
)

func visitJava(t *testing.T, v *visit) []bool {
	nettest.Need(t, "java", "javac")
	classes := compile(t, "Visit.java", "javac", "testdata/Visit.java", "-d")
	args := []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes}
	if v.offer == byID {
		args = append(args, "-Djdk.tls.client.enableSessionTicketExtension=false")
	}
	if v.retry {
		args = append(args, "-Djdk.tls.namedGroups=secp521r1,ffdhe2048,secp256r1")
	}
	return runOurs(t, v, "java", append(args, "Visit")...)
}

func visitBouncyCastle(t *testing.T, v *visit) []bool {
	const jar = "/usr/share/java/bctls.jar"
	nettest.Need(t, "java", "javac", jar)
	classes := compile(t, "Visit.java", "javac", "testdata/Visit.java", "-d")
	return runOurs(t, v, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-cp", classes+":"+jar+":/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar",
		"-Dvisit.providers=jce.provider.BouncyCastleProvider,jsse.provider.BouncyCastleJsseProvider", "Visit")
}

func visitWolfSSL(t *testing.T, v *visit) []bool {
	nettest.Need(t, "gcc", "/usr/include/wolfssl/ssl.h")
	return runOurs(t, v, compile(t, "wolfssl.c", "gcc", "-Wall", "testdata/wolfssl.c", "-lwolfssl", "-o"))
}

func visitMbedTLS(t *testing.T, v *visit) []bool {
	nettest.Need(t, "gcc", "/usr/include/mbedtls/ssl.h")
	return runOurs(t, v, compile(t, "mbedtls.c", "gcc", "-Wall", "testdata/mbedtls.c", "-lmbedtls", "-lmbedx509", "-lmbedcrypto", "-o"))
}

const debianPython = "/usr/bin/python3" // not another one before it in $PATH

func visitPython(t *testing.T, v *visit) []bool {
	nettest.Need(t, debianPython)
	return runOurs(t, v, debianPython, "testdata/visit.py")
}

func visitPycurl(t *testing.T, v *visit) []bool {
	nettest.Need(t, debianPython, "/usr/share/doc/python3-pycurl")
	return runOurs(t, v, debianPython, "testdata/visit_pycurl.py")
}

func visitNode(t *testing.T, v *visit) []bool {
	nettest.Need(t, "node")
	return runOurs(t, v, "node", "testdata/visit.js")
}

func visitErlang(t *testing.T, v *visit) []bool {
	nettest.Need(t, "escript", "/usr/share/doc/erlang-ssl")
	return runOurs(t, v, "escript", "testdata/visit.escript")
}

func visitGo(t *testing.T, v *visit) (said []bool) {
	config := v.fleet.goConfig(v.version)
	if v.cert != nil {
		config.Certificates = []tls.Certificate{v.cert.TLS}
	}
	for range visitLen {
		resumed, err := goVisit(v.addr(), config)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, resumed)
	}
	return said
}

// goConfig is a client that keeps a session.
func (f *fleet) goConfig(version uint16) *tls.Config {
	return &tls.Config{
		RootCAs: f.pki.CA.Pool(), ServerName: "localhost", MinVersion: version, MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
}

// goVisit makes one connection and reports whether it resumed.
func goVisit(addr string, config *tls.Config) (resumed bool, err error) {
	raw, err := nettest.Dial(addr)
	if err != nil {
		return false, err
	}
	conn := tls.Client(raw, config)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(harness.Patience))
	if _, err := io.WriteString(conn, ping); err != nil {
		return false, err
	}
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != ping {
		return false, fmt.Errorf("answer %q, %v, want %q", answer, err, ping)
	}
	return conn.ConnectionState().DidResume, nil
}
