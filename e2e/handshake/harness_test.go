package handshake

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// patience is for what must happen, on a machine that is busy with other things.
const patience = time.Minute

// A node is one process in front of an echo, with one loop, seen from outside.
type node struct {
	*nettest.Process
	pki   *testpki.PKI
	addr  string
	stats string
}

// program is what is attacked.
func program(t *testing.T) string {
	if path := os.Getenv("REPRISE_BIN"); path != "" {
		return path
	}
	return nettest.Build(t, "reprise/cmd/reprise")
}

// start runs a node until the test ends. listener is what is said of its listener
// besides address and certificate; CA in it stands for the file of the client CA, PAIR in
// options for those of certificate and key.
func start(t *testing.T, key testpki.KeyType, listener string, options ...string) *node {
	t.Helper()
	n := &node{pki: testpki.New(t), addr: nettest.FreeAddr(t), stats: nettest.FreeAddr(t)}
	cert := n.pki.Server(key, "localhost")
	args := append([]string{
		"--sslrouter2=addr=" + n.addr + ",cert=" + cert.CertFile + ",key=" + cert.KeyFile + strings.ReplaceAll(listener, "CA", n.pki.CAFile),
		"--sslrouter-to=" + nettest.Serve(t, nettest.Echo).Addr, "--http-processes=1", "--stats", n.stats,
		"--log-format", "json", "--drain-timeout", "1s",
	}, options...)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "PAIR", cert.CertFile+","+cert.KeyFile)
	}
	n.Process = nettest.Start(t, nettest.Command{Path: program(t), Args: args, Timeout: patience},
		nettest.Prints(`^\{.*"msg":"serving".*\}$`))
	return n
}

func (n *node) config(version uint16) *tls.Config {
	return &tls.Config{RootCAs: n.pki.CA.Pool(), ServerName: "localhost", MinVersion: version, MaxVersion: version}
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
	raw, err := nettest.Dial(n.addr)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { raw.Close() })
	return raw
}

// ping sends something to the echo and waits for it to come back.
func ping(conn io.ReadWriter) error {
	if _, err := conn.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

// clientHello returns what a client sends first.
func clientHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	var first recorder
	_ = tls.Client(&first, config).Handshake() // it gets no answer
	if first.Len() == 0 {
		t.Fatal("the client sends nothing")
	}
	return first.Bytes()
}

// A recorder keeps what a client writes and has no answer.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error)      { return r.Buffer.Write(p) }
func (r *recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
