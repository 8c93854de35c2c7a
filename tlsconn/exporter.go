package tlsconn

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/wire"
)

// An exporter has the secret for ExportKeyingMaterial. A connection has one only if
// Config.Exporters is set: in TLS 1.2 it is the master secret itself.
type exporter struct {
	tls13   bool
	hash    primitive.Hash
	secret  [max(primitive.MaxHashLen, masterLen)]byte
	randoms [2 * wire.RandomLen]byte // client's, server's; TLS 1.2
}

var (
	errNoExporter = errors.New(
		"tlsconn: no keying material: the connection is not up, or keeps none")
	errExporterArgs = errors.New("tlsconn: no keying material of that label, context and length")
)

// MaxExport is the maximum length for ExportKeyingMaterial: the limit of HKDF with SHA-256.
const MaxExport = 255 * 32

// CheckExport returns an error for arguments that ExportKeyingMaterial refuses, in either version:
// labels too long for HKDF (RFC 8446, Section 7.1), and those reserved by TLS 1.2 (RFC 5705,
// Section 4).
func CheckExport(label string, context []byte, n int) error {
	const maxLabel = 255 - len("tls13 ")
	if n < 0 || n > MaxExport || len(label) > maxLabel || len(context) > math.MaxUint16 {
		return errExporterArgs
	}
	switch label {
	case "client finished", "server finished", "master secret", "key expansion":
		return errExporterArgs
	}
	return nil
}

// ExportKeyingMaterial implements Conn.
func (c *conn) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	e := c.exporter
	if c.state != Connected && c.state != PeerClosed || e == nil {
		return nil, errNoExporter
	}
	if err := CheckExport(label, context, n); err != nil {
		return nil, err
	}
	s := c.server
	defer s.kdf.Clear()
	out := make([]byte, n)
	if e.tls13 {
		s.kdf.Exporter13(e.hash, out, e.secret[:e.hash.Len()], label, context)
		return out, nil
	}
	seed := slices.Clone(e.randoms[:])
	if context != nil {
		seed = binary.BigEndian.AppendUint16(seed, uint16(len(context)))
		seed = append(seed, context...)
	}
	s.kdf.PRF(e.hash, out, e.secret[:masterLen], label, seed)
	return out, nil
}

// keepExporter13 keeps the exporter's secret of TLS 1.3, which the schedule has at the server's
// Finished (RFC 8446, Section 7.5).
func (c *conn) keepExporter13(transcript []byte) {
	if !c.server.config.Exporters {
		return
	}
	hs := c.hs
	e := &exporter{tls13: true, hash: hs.suite.Hash}
	hs.schedule.Derive(&c.server.kdf, e.secret[:e.hash.Len()], "exp master", transcript)
	c.exporter = e
}

// keepExporter12 does the same in TLS 1.2, but not without extended master secret: the exported
// bytes would then not be unique to this connection (RFC 7627, Section 5.4).
func (c *conn) keepExporter12() {
	hs := c.hs
	if !c.server.config.Exporters || !hs.ems {
		return
	}
	e := &exporter{hash: hs.suite.Hash}
	copy(e.secret[:], hs.master[:])
	copy(e.randoms[copy(e.randoms[:], hs.clientRandom[:]):], hs.serverRandom[:])
	c.exporter = e
}

// clear wipes the secret; e may be nil.
func (e *exporter) clear() {
	if e != nil {
		*e = exporter{}
	}
}
