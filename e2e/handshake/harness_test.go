package handshake

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A node is one process in front of an echo, with one loop.
type node struct {
	*harness.Server
	pki *testpki.PKI
}

// start runs a node until the test ends. listener has options of its listener besides address and
// certificate; CA in it stands for the file of the client CA, PAIR in options for the files of
// certificate and key.
func start(t *testing.T, key testpki.KeyType, listener string, options ...string) *node {
	t.Helper()
	n := &node{pki: testpki.New(t)}
	cert, addr := n.pki.Server(key, "localhost"), nettest.FreeAddr(t)
	args := append([]string{
		"--sslrouter2=addr=" + addr + ",cert=" + cert.CertFile + ",key=" + cert.KeyFile + strings.ReplaceAll(listener, "CA", n.pki.CAFile),
		harness.To(nettest.Serve(t, nettest.Echo).Addr), harness.OneLoop,
	}, options...)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "PAIR", cert.CertFile+","+cert.KeyFile)
	}
	n.Server = harness.Start(t, args...)
	n.Addresses = []string{addr} // whatever else listens
	return n
}

func (n *node) config(version uint16) *tls.Config {
	return &tls.Config{
		RootCAs: n.pki.CA.Pool(), ServerName: "localhost", MinVersion: version,
		MaxVersion: version,
	}
}

// connect makes a connection until the test ends.
func (n *node) connect(t *testing.T, config *tls.Config) *tls.Conn {
	t.Helper()
	conn := tls.Client(n.dial(t), config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn
}

// dial makes a connection without TLS until the test ends.
func (n *node) dial(t *testing.T) net.Conn {
	t.Helper()
	return harness.DialRaw(t, n.Addr())
}
