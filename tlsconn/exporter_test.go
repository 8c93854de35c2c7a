package tlsconn_test

import (
	"bytes"
	"strings"
	"testing"

	"reprise/tlsconn"
)

func exporters(c *tlsconn.Config) { c.Exporters = true }

// Both ends derive the same, in a full handshake and after a resumption: there the
// secret is the session's.
func TestExportedKeyingMaterialIsTheClients(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			s, _, _ := e.sessionServer(t, exporters)
			client, _ := clientOf(version.id)
			var before []byte
			for _, want := range []tlsconn.Outcome{tlsconn.NewClient, tlsconn.ResumedLocal} {
				p := newPair(t, s, client).doHandshake()
				if got := p.conn.Info().Outcome; got != want {
					t.Fatalf("%s: got %v, want %v", version.name, got, want)
				}
				state := p.client.ConnectionState()
				for _, context := range [][]byte{nil, {}, []byte("context")} {
					for _, n := range []int{0, 1, 32, 1024} {
						got, err := p.conn.ExportKeyingMaterial("EXPORTER-test", context, n)
						if err != nil {
							t.Fatal(err)
						}
						theirs, err := state.ExportKeyingMaterial("EXPORTER-test", context, n)
						if err != nil {
							t.Fatal(err)
						}
						if !bytes.Equal(got, theirs) {
							t.Errorf("%s, %v, context %q: got %x, want %x", version.name, want, context, got, theirs)
						}
					}
				}
				now, _ := p.conn.ExportKeyingMaterial("EXPORTER-test", nil, 32)
				if bytes.Equal(now, before) {
					t.Errorf("%s: two connections have the same keying material", version.name)
				}
				before = now
			}
		}
	})
}

func TestNothingIsExportedWithoutNeed(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			client, _ := clientOf(version.id)
			wantErr := func(what string, conn tlsconn.Conn, label string, n int) {
				t.Helper()
				if b, err := conn.ExportKeyingMaterial(label, nil, n); err == nil {
					t.Errorf("%s, %s: got %d bytes, want an error", version.name, what, len(b))
				}
			}
			p := newPair(t, e.server(t), client).doHandshake()
			wantErr("not asked for in the configuration", p.conn, "EXPORTER-test", 32)

			p = newPair(t, e.server(t, exporters), client)
			wantErr("before the handshake", p.conn, "EXPORTER-test", 32)
			p.doHandshake()
			wantErr("more than HKDF can make", p.conn, "EXPORTER-test", tlsconn.MaxExport+1)
			wantErr("a label that HKDF cannot take", p.conn, strings.Repeat("x", 250), 32)
			wantErr("a label of TLS itself", p.conn, "key expansion", 32)
			p.conn.Abort()
			wantErr("after the end", p.conn, "EXPORTER-test", 32)
		}
	})
}
