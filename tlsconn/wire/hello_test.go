package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"
)

// A message is built of these, as RFC 8446, Section 3 writes vectors.

// TestClientHelloFields has each field of a hello. It is long because it is a table.
func TestClientHelloFields(t *testing.T) {
	msg := fullDraft().build()
	var h ClientHello
	if f := h.Parse(msg); f != None {
		t.Fatalf("Parse: %v", f)
	}
	for _, test := range []struct {
		name      string
		got, want []byte
	}{
		{"Raw", h.Raw, msg},
		{"Random", h.Random, filled(32, 7)},
		{"SessionID", h.SessionID, filled(32, 5)},
		{"Suites", h.Suites, u16(0x1301, 0xc02b, SuiteEmptyRenegotiation, SuiteFallback, 0x1a1a)},
		{"Compressions", h.Compressions, []byte{0}},
		{"ServerName", h.ServerName, []byte("www.Example.com.")},
		{"Groups", h.Groups, u16(0x2a2a, 29, 23)},
		{"SigAlgs", h.SigAlgs, u16(0x0403, 0x0804)},
		{"SigAlgsCert", h.SigAlgsCert, u16(0x0805)},
		{"PointFormats", h.PointFormats, []byte{0, 1}},
		{"ALPN", h.ALPN, []byte("\x02h2\x08http/1.1")},
		{"Versions", h.Versions, u16(0x5a5a, VersionTLS13, VersionTLS12)},
		{"PSKModes", h.PSKModes, []byte{0x0b, ModePSKDHE}},
		{"KeyShares", h.KeyShares, append(keyShare(0x2a2a, 0), keyShare(29, filled(32, 9)...)...)},
		{"Authorities", h.Authorities, v16([]byte{0x30, 0})},
		{"Cookie", h.Cookie, []byte("cookie")},
		{"Ticket", h.Ticket, []byte("ticket")},
		{"RenegotiationInfo", h.RenegotiationInfo, []byte("verify")},
		{"Identities", h.Identities, append(identity("first", 1), identity("second", 2)...)},
		{"Binders", h.Binders, append(v8(filled(32, 3)), v8(filled(48, 4))...)},
		{"before BindersAt", msg[:h.BindersAt], msg[:len(msg)-2-33-49]},
	} {
		if !bytes.Equal(test.got, test.want) {
			t.Errorf("%s: got %x, want %x", test.name, test.got, test.want)
		}
	}
	for _, test := range []struct {
		name      string
		got, want bool
	}{
		{"HasServerName", h.HasServerName, true},
		{"HasGroups", h.HasGroups, true},
		{"HasSigAlgs", h.HasSigAlgs, true},
		{"HasSigAlgsCert", h.HasSigAlgsCert, true},
		{"HasPointFormats", h.HasPointFormats, true},
		{"HasALPN", h.HasALPN, true},
		{"HasVersions", h.HasVersions, true},
		{"HasPSKModes", h.HasPSKModes, true},
		{"HasKeyShares", h.HasKeyShares, true},
		{"HasCookie", h.HasCookie, true},
		{"HasTicket", h.HasTicket, true},
		{"HasRenegotiationInfo", h.HasRenegotiationInfo, true},
		{"HasPSK", h.HasPSK, true},
		{"EMS", h.EMS, true},
		{"EarlyData", h.EarlyData, true},
		{"PostHandshakeAuth", h.PostHandshakeAuth, true},
		{"Fallback", h.Fallback, true},
		{"EmptyRenegotiation", h.EmptyRenegotiation, true},
		{"HasSuite(0xc02b)", h.HasSuite(0xc02b), true},
		{"HasSuite(0x01c0), two halves", h.HasSuite(0x01c0), false},
		{"Offers(TLS 1.3)", h.Offers(VersionTLS13), true},
		{"Offers(TLS 1.2)", h.Offers(VersionTLS12), true},
		{"Offers(TLS 1.1)", h.Offers(VersionTLS11), false},
		{"HasGroup(23)", h.HasGroup(23), true},
		{"HasGroup(24)", h.HasGroup(24), false},
		{"HasAuthority(empty name)", h.HasAuthority([]byte{0x30, 0}), true},
		{"HasAuthority(another)", h.HasAuthority([]byte{0x30, 1}), false},
		{"HasScheme(0x0804)", h.HasScheme(0x0804), true},
		{"HasScheme(0x0805)", h.HasScheme(0x0805), false},
		{"HasPSKMode(DHE)", h.HasPSKMode(ModePSKDHE), true},
		{"HasPSKMode(without)", h.HasPSKMode(ModePSK), false},
		{"HasProtocol(http/1.1)", h.HasProtocol("http/1.1"), true},
		{"HasProtocol(http/1.0)", h.HasProtocol("http/1.0"), false},
		{"HasProtocol()", h.HasProtocol(""), false},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, test.got, test.want)
		}
	}
}

// TestClientHelloLists looks up what a hello has several of.
func TestClientHelloLists(t *testing.T) {
	var h ClientHello
	if f := h.Parse(fullDraft().build()); f != None {
		t.Fatalf("Parse: %v", f)
	}
	if share, ok := h.KeyShare(29); !ok || !bytes.Equal(share, filled(32, 9)) {
		t.Errorf("KeyShare(29): got %x, %v", share, ok)
	}
	if share, ok := h.KeyShare(23); ok {
		t.Errorf("KeyShare(23): got %x", share)
	}
	if id, binder, ok := h.Identity(1); !ok || string(id) != "second" || len(binder) != 48 {
		t.Errorf("Identity(1): got %q, %x, %v", id, binder, ok)
	}
	if id, _, ok := h.Identity(2); ok {
		t.Errorf("Identity(2): got %q", id)
	}
	if _, _, ok := h.Identity(-1); ok {
		t.Error("Identity(-1) is there")
	}
	psks := h.PSKs()
	id, age, binder, ok := psks.Next()
	if !ok || string(id) != "first" || age != 1 || len(binder) != 32 {
		t.Errorf("first PSK: got %q, %d, %x, %v", id, age, binder, ok)
	}
	if _, age, _, ok := psks.Next(); !ok || age != 2 {
		t.Errorf("second PSK: got age %d, %v", age, ok)
	}
	if _, _, _, ok := psks.Next(); ok {
		t.Error("there is a third PSK")
	}
}

// A ClientHello is reused: nothing of one hello is left in the next.
func TestParseForgetsEarlierHello(t *testing.T) {
	bare := hellos(t)["bare"]
	var h, fresh ClientHello
	h.Parse(fullDraft().build())
	if f := h.Parse(bare); f != None {
		t.Fatalf("Parse: %v", f)
	}
	fresh.Parse(bare)
	if !reflect.DeepEqual(h, fresh) {
		t.Errorf("got %+v, want %+v", h, fresh)
	}
	if !h.Offers(VersionTLS12) || h.Offers(VersionTLS13) {
		t.Error("a hello without supported_versions offers what legacy_version says")
	}
}

// TestClientHelloFaults checks the fault of each hello. It is long because it is a table.
func TestClientHelloFaults(t *testing.T) {
	serverName := func(names ...[]byte) func(*draft) { return set(ExtServerName, v16(names...)) }
	host, zero, binder, id := []byte{0}, []byte{0}, v8(filled(32, 1)), identity("a", 1)
	for _, test := range []struct {
		name  string
		spoil func(d *draft)
		want  Fault
	}{
		{"nothing spoilt", func(d *draft) {}, None},
		{"no extensions block", func(d *draft) { d.noExtensions = true }, None},
		{"empty extensions block", func(d *draft) { d.exts = nil }, None},
		{"bytes behind the extensions", func(d *draft) { d.afterwards = []byte{0} }, Decode},
		{
			"half a length of extensions",
			func(d *draft) { d.noExtensions, d.afterwards = true, zero },
			Decode,
		},
		{"half an extension", first([]byte{0, 77, 0}), Decode},

		{"no session ID", func(d *draft) { d.sessionID = nil }, None},
		{"long session ID", func(d *draft) { d.sessionID = filled(33, 1) }, Decode},
		{"no suites", func(d *draft) { d.suites = nil }, Decode},
		{"odd suites", func(d *draft) { d.suites = []byte{0x13, 1, 0x13} }, Decode},
		{"no compressions", func(d *draft) { d.compressions = nil }, Decode},
		{"no null compression", func(d *draft) { d.compressions = []byte{1} }, Illegal},
		{"null compression and others", func(d *draft) { d.compressions = []byte{1, 0} }, None},

		{"extension twice", first(ext(ExtCookie, v16(zero))), Decode},
		{"unknown extension twice", first(ext(77), ext(78), ext(77)), Decode},

		{"SNI empty", set(ExtServerName), Decode},
		{"SNI without names", set(ExtServerName, v16()), Decode},
		{"SNI of no bytes", serverName(host, v16()), Decode},
		{"SNI with a byte more", set(ExtServerName, v16(host, v16([]byte("a"))), zero), Decode},
		{"SNI name with a byte more", serverName(host, v16([]byte("a")), zero), Decode},
		{"SNI twice", serverName(host, v16([]byte("a")), host, v16([]byte("b"))), Illegal},
		{"SNI of another type", set(ExtServerName, v16([]byte{1}, v16([]byte{0}))), None},
		{"SNI with NUL", serverName(host, v16([]byte("a\x00b"))), Illegal},
		{"SNI with a space", serverName(host, v16([]byte("a b"))), Illegal},
		{"SNI in UTF-8", serverName(host, v16([]byte("ä"))), Illegal},
		{"SNI of 255 bytes", serverName(host, v16(filled(255, 'a'))), None},
		{"SNI of 256 bytes", serverName(host, v16(filled(256, 'a'))), Unrecognized},

		{"groups empty", set(ExtSupportedGroups), Decode},
		{"no groups", set(ExtSupportedGroups, v16()), Decode},
		{"odd groups", set(ExtSupportedGroups, v16([]byte{0, 29, 0})), Decode},
		{"groups with a byte more", set(ExtSupportedGroups, v16(u16(29)), zero), Decode},
		{"no signature algorithms", set(ExtSignatureAlgorithms, v16()), Decode},
		{"odd signature algorithms", set(ExtSignatureAlgorithms, v16([]byte{4, 3, 8})), Decode},
		{"no certificate algorithms", set(ExtSignatureAlgorithmCert, v16()), Decode},
		{"no point formats", set(ExtECPointFormats, v8()), Decode},
		{"point formats with a byte more", set(ExtECPointFormats, v8([]byte{0}), zero), Decode},
		{"ALPN empty", set(ExtALPN), Decode},
		{"no protocols", set(ExtALPN, v16()), Decode},
		{"protocol without a name", set(ExtALPN, v16(v8([]byte("h2")), v8())), Decode},
		{"half a protocol", set(ExtALPN, v16([]byte{2, 'h'})), Decode},
		{"ALPN with a byte more", set(ExtALPN, v16(v8([]byte("h2"))), zero), Decode},
		{"EMS with content", set(ExtExtendedMasterSecret, zero), Decode},
		{"early data with content", set(ExtEarlyData, zero), Decode},
		{"post-handshake auth with content", set(ExtPostHandshakeAuth, zero), Decode},
		{"ticket empty", set(ExtSessionTicket), None},
		{"no versions", set(ExtSupportedVersions, v8()), Decode},
		{"odd versions", set(ExtSupportedVersions, v8([]byte{3, 4, 3})), Decode},
		{"versions with a byte more", set(ExtSupportedVersions, v8(u16(0x0304)), zero), Decode},
		{"no cookie", set(ExtCookie, v16()), Decode},
		{"cookie with a byte more", set(ExtCookie, v16([]byte{1}), zero), Decode},
		{"no PSK modes", set(ExtPSKKeyExchangeModes, v8()), Decode},
		{"no authorities", set(ExtCertificateAuthorities, v16()), Decode},
		{"authority without a name", set(ExtCertificateAuthorities, v16(v16())), Decode},
		{"half an authority", set(ExtCertificateAuthorities, v16([]byte{0, 2, 1})), Decode},
		{"renegotiation info empty", set(ExtRenegotiationInfo), Decode},
		{"renegotiation info with a byte more", set(ExtRenegotiationInfo, v8(), zero), Decode},

		{"key shares empty", set(ExtKeyShare), Decode},
		{"no key shares", set(ExtKeyShare, v16()), None},
		{"key share of no bytes", set(ExtKeyShare, v16(u16(29), v16())), Decode},
		{"half a key share", set(ExtKeyShare, v16(u16(29, 2), []byte{1})), Decode},
		{"key shares with a byte more", set(ExtKeyShare, v16(keyShare(29, 1)), zero), Decode},
		{
			"key share twice",
			set(ExtKeyShare, v16(keyShare(29, 1), keyShare(23, 1), keyShare(29, 2))),
			Illegal,
		},
		{"key share of a group not offered", set(ExtKeyShare, v16(keyShare(24, 1))), Illegal},
		{"key share without groups", without(ExtSupportedGroups), None},
		{"key share twice, without groups", func(d *draft) {
			d.remove(ExtSupportedGroups)
			d.replace(ExtKeyShare, v16(keyShare(29, 1), keyShare(29, 2)))
		}, Illegal},

		{"PSK not last", func(d *draft) { d.exts = append(d.exts, ext(77)) }, Illegal},
		{"PSK empty", set(ExtPreSharedKey), Decode},
		{"no identities", set(ExtPreSharedKey, v16(), v16(binder)), Decode},
		{"no binders", set(ExtPreSharedKey, v16(id), v16()), Decode},
		{"binders missing", set(ExtPreSharedKey, v16(id)), Decode},
		{"PSK with a byte more", set(ExtPreSharedKey, v16(id), v16(binder), zero), Decode},
		{"identity of no bytes", set(ExtPreSharedKey, v16(identity("", 1)), v16(binder)), Decode},
		{
			"identity without its age",
			set(ExtPreSharedKey, v16(v16([]byte("abcde"))), v16(binder)),
			Decode,
		},
		{"more binders than identities", set(ExtPreSharedKey, v16(id), v16(binder, binder)), Illegal},
		{
			"more identities than binders",
			set(ExtPreSharedKey, v16(id, identity("b", 1)), v16(binder)),
			Illegal,
		},
		{"PSK without modes", without(ExtPSKKeyExchangeModes), None},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := fullDraft()
			test.spoil(d)
			var h ClientHello
			if got := h.Parse(d.build()); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestChecksByVersion(t *testing.T) {
	for _, test := range []struct {
		name           string
		spoil          func(d *draft)
		want13, want12 Fault
	}{
		{"nothing spoilt", func(d *draft) {}, None, None},
		{"two compressions", func(d *draft) { d.compressions = []byte{0, 1} }, Illegal, None},
		{"no groups", without(ExtSupportedGroups), Missing, None},
		{"no key shares", without(ExtKeyShare), Missing, None},
		{"key shares of none", set(ExtKeyShare, v16()), None, None},
		{"PSK without algorithms", without(ExtSignatureAlgorithms), None, None},
		{"neither PSK nor algorithms", func(d *draft) {
			d.remove(ExtPreSharedKey)
			d.remove(ExtSignatureAlgorithms)
		}, Missing, None},
		{"PSK without modes", without(ExtPSKKeyExchangeModes), None, None},
		{"no uncompressed points", set(ExtECPointFormats, v8([]byte{1, 2})), None, Illegal},
		{"no point formats", without(ExtECPointFormats), None, None},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := fullDraft()
			test.spoil(d)
			var h ClientHello
			if f := h.Parse(d.build()); f != None {
				t.Fatalf("Parse: %v", f)
			}
			if got := h.Check13(); got != test.want13 {
				t.Errorf("Check13: got %v, want %v", got, test.want13)
			}
			if got := h.Check12(); got != test.want12 {
				t.Errorf("Check12: got %v, want %v", got, test.want12)
			}
		})
	}
}

// hellos reads testdata/hellos.txt, which says how it is written.
func hellos(tb testing.TB) map[string][]byte {
	tb.Helper()
	text, err := os.ReadFile("testdata/hellos.txt")
	if err != nil {
		tb.Fatal(err)
	}
	all := make(map[string][]byte)
	name := ""
	for line := range strings.Lines(string(text)) {
		switch {
		case line[0] == '#':
		case line[0] != ' ':
			name = strings.TrimSpace(line)
		default:
			b, err := hex.DecodeString(strings.TrimSpace(line))
			if err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			all[name] = append(all[name], b...)
		}
	}
	return all
}

func TestHellosOfOtherClients(t *testing.T) {
	all := hellos(t)
	for _, test := range []struct {
		name, serverName string
		tls13, psk, ems  bool
		share            uint16
	}{
		{name: "bare"},
		{name: "chrome", serverName: "www.example.com", tls13: true, ems: true, share: 0x11ec},
		{name: "curl", serverName: "www.example.com", tls13: true, ems: true, share: 29},
		{name: "gnutls", serverName: "www.example.com", tls13: true, ems: true, share: 23},
		{name: "openssl", serverName: "www.example.com", tls13: true, ems: true, share: 29},
		{name: "openssl12", serverName: "www.example.com", ems: true},
		{name: "openssl_status", ems: true},
		{
			name: "openssl_psk", serverName: "www.example.com",
			tls13: true, psk: true, ems: true, share: 29,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var h ClientHello
			if f := h.Parse(all[test.name]); f != None {
				t.Fatalf("Parse: %v", f)
			}
			if got := string(h.ServerName); got != test.serverName {
				t.Errorf("ServerName: got %q, want %q", got, test.serverName)
			}
			if got := h.Offers(VersionTLS13); got != test.tls13 {
				t.Errorf("Offers(TLS 1.3): got %v, want %v", got, test.tls13)
			}
			if !h.Offers(VersionTLS12) {
				t.Error("TLS 1.2 is not offered")
			}
			if h.HasPSK != test.psk || h.EMS != test.ems {
				t.Errorf("HasPSK, EMS: got %v, %v, want %v, %v", h.HasPSK, h.EMS, test.psk, test.ems)
			}
			if f := h.Check12(); f != None {
				t.Errorf("Check12: %v", f)
			}
			if !test.tls13 {
				return
			}
			if f := h.Check13(); f != None {
				t.Errorf("Check13: %v", f)
			}
			if _, ok := h.KeyShare(test.share); !ok {
				t.Errorf("no key share of group %#x", test.share)
			}
		})
	}
}

// A hello that ends early is never taken for a whole one, but where its
// extensions would begin.
func TestTruncatedHellosAreRefused(t *testing.T) {
	for name, msg := range hellos(t) {
		for n := range len(msg) {
			cut := bytes.Clone(msg[:n])
			var h ClientHello
			if f := h.Parse(cut); f != Decode {
				t.Fatalf("%s, %d of %d bytes: got %v, want %v", name, n, len(msg), f, Decode)
			}
			if n < HeaderLen {
				continue
			}
			put24(cut[1:], n-HeaderLen)
			if f := h.Parse(cut); f == None && h.HasVersions {
				t.Fatalf("%s parses with %d of %d bytes", name, n, len(msg))
			}
		}
	}
}

// What costs us must have cost them: many extensions and key shares are compared
// in a bitmap.
func TestManyExtensionsAndKeyShares(t *testing.T) {
	parse := func(d *draft) Fault {
		var h ClientHello
		return h.Parse(d.build())
	}
	d := fullDraft()
	var many [][]byte
	for i := range 10000 {
		many = append(many, ext(uint16(20000+i)))
	}
	d.exts = append(many, d.exts...)
	if f := parse(d); f != None {
		t.Errorf("10000 extensions: %v", f)
	}
	d.exts = append([][]byte{ext(20000)}, d.exts...)
	if f := parse(d); f != Decode {
		t.Errorf("an extension twice among 10000: got %v, want %v", f, Decode)
	}

	var groups, shares []byte
	for i := range 5000 {
		groups = append(groups, u16(uint16(1000+i))...)
		shares = append(shares, keyShare(uint16(1000+i), 1)...)
	}
	manyShares := func(extra ...uint16) *draft {
		d := fullDraft()
		s := shares
		for _, g := range extra {
			s = append(bytes.Clone(s), keyShare(g, 1)...)
		}
		d.replace(ExtSupportedGroups, v16(groups))
		d.replace(ExtKeyShare, v16(s))
		return d
	}
	if f := parse(manyShares()); f != None {
		t.Errorf("5000 key shares: %v", f)
	}
	if f := parse(manyShares(1000)); f != Illegal {
		t.Errorf("a key share twice among 5000: got %v, want %v", f, Illegal)
	}
	if f := parse(manyShares(29)); f != Illegal {
		t.Errorf("a key share too many among 5000: got %v, want %v", f, Illegal)
	}
}
