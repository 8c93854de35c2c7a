package node

import (
	"os"
	"path/filepath"
	"testing"

	"reprise/config"
	"reprise/internal/asynclog"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestRegistryIsSound: every field that is tagged as a metric can be one.
func TestRegistryIsSound(t *testing.T) {
	nettest.LeakCheck(t)
	pki := testpki.New(t)
	cert := pki.Server(testpki.RSA, "localhost")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret for one node only"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse([]string{
		"--sslrouter=127.0.0.1:0," + cert.CertFile + "," + cert.KeyFile, "--sslrouter-to=127.0.0.1:9000", "--cluster-secret-file=" + secret, "--cache2=name=one,items=100", "--cache2=name=two,items=5000", "--http-processes=2",
		"--cache-udp-server=" + nettest.FreeAddr(t), "--cache-udp-node=127.0.0.1:9", "--udprepeater=127.0.0.1:0",
		"--session-store=memcached://127.0.0.1:9",
	})
	if err != nil {
		t.Fatal(err)
	}
	log := asynclog.New(t.Output(), 1)
	defer log.Close()
	n, err := New(Program{}, c, log)
	if err != nil {
		t.Fatal(err)
	}
	n.Start()
	if err := n.registry().Check(); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
