package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

// unhex decodes hex digits with spaces.
func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Bytes are written down from the standards' structures. It is long because it is a table.
func TestServerMessages(t *testing.T) {
	random := strings.Repeat("77", 32)
	whole := func(b []byte, err error) []byte {
		if err != nil {
			t.Error(err)
		}
		return b
	}
	hello := ServerHello{Random: filled(32, 0x77), SessionID: []byte{0xaa, 0xbb}, Suite: 0x1301}
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{
			"ServerHello of TLS 1.3",
			func() []byte {
				h := hello
				h.Group, h.KeyShare = 29, []byte{1, 2, 3}
				return h.Append13(nil)
			}(),
			"02 00003b 0303" + random + "02aabb 1301 00 0011 002b0002 0304 0033 0007 001d 0003 010203",
		},
		{
			"ServerHello of TLS 1.3 with a PSK",
			func() []byte {
				h := hello
				h.Group, h.KeyShare, h.HasPSK, h.PSK = 29, []byte{1}, true, 2
				return h.Append13(nil)
			}(),
			"02 00003f 0303" + random + "02aabb 1301 00 0015 002b0002 0304 00290002 0002" +
				"0033 0005 001d 0001 01",
		},
		{
			"HelloRetryRequest",
			func() []byte { h := hello; h.Group = 23; return h.AppendRetry(nil) }(),
			"02 000036 0303 cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c" +
				"02aabb 1301 00 000c 002b0002 0304 00330002 0017",
		},
		{
			"ServerHello of TLS 1.2 without extensions",
			hello.Append12(nil),
			"02 000028 0303" + random + "02aabb 1301 00",
		},
		{
			"ServerHello of TLS 1.2",
			(&ServerHello{
				Random: filled(32, 0x77), Suite: 0xc02f, ALPN: "h2", ServerName: true,
				EMS: true, Ticket: true, RenegotiateInfo: true, PointFormats: true,
			}).Append12(nil),
			"02 000048 0303" + random + "00 c02f 00 0020 0000 0000 ff01 0001 00 000b 0002 0100" +
				"0023 0000 0017 0000 0010 0005 0003 02 6832",
		},
		{"EncryptedExtensions, none", (&EncryptedExtensions{}).Append(nil), "08 000002 0000"},
		{
			"EncryptedExtensions",
			(&EncryptedExtensions{ALPN: "http/1.1", ServerName: true}).Append(nil),
			"08 000015 0013 0000 0000 0010 000b 0009 08 687474702f312e31",
		},
		{
			"CertificateRequest of TLS 1.3",
			whole(AppendCertificateRequest13(nil, []uint16{0x0403, 0x0804}, nil)),
			"0d 00000d 00 000a 000d 0006 0004 0403 0804",
		},
		{
			"CertificateRequest of TLS 1.3 with names",
			whole(AppendCertificateRequest13(nil, []uint16{0x0403}, [][]byte{{0x30, 0}, {0x30, 1, 5}})),
			"0d 00001a 00 0017 000d 0004 0002 0403 002f 000b 0009 0002 3000 0003 300105",
		},
		{
			"CertificateRequest of TLS 1.2",
			whole(AppendCertificateRequest12(nil, []uint16{0x0403, 0x0804}, [][]byte{{0x30, 0}})),
			"0d 00000f 02 01 40 0004 0403 0804 0004 0002 3000",
		},
		{
			"CertificateRequest of TLS 1.2 without names",
			whole(AppendCertificateRequest12(nil, []uint16{0x0403}, nil)),
			"0d 000009 02 01 40 0002 0403 0000",
		},
		{
			"Certificate of TLS 1.3",
			whole(AppendCertificate13(nil, [][]byte{{1, 2}, {3}})),
			"0b 000011 00 00000d 000002 0102 0000 000001 03 0000",
		},
		{
			"Certificate of TLS 1.2",
			whole(AppendCertificate12(nil, [][]byte{{1, 2}, {3}})),
			"0b 00000c 000009 000002 0102 000001 03",
		},
		{
			"CertificateVerify",
			AppendCertificateVerify(nil, 0x0804, []byte{1, 2}),
			"0f 000006 0804 0002 0102",
		},
		{
			"what a server signs",
			AppendSigned13(nil, true, []byte{1, 2}),
			hex.EncodeToString([]byte(strings.Repeat(" ", 64)+"TLS 1.3, server CertificateVerify")) + "00 0102",
		},
		{
			"what a client signs",
			AppendSigned13(nil, false, []byte{1, 2}),
			hex.EncodeToString([]byte(strings.Repeat(" ", 64)+"TLS 1.3, client CertificateVerify")) + "00 0102",
		},
		{
			"ServerKeyExchange",
			AppendServerKeyExchange(nil, AppendServerParams(nil, 29, []byte{1, 2}), 0x0804, []byte{3}),
			"0c 00000b 03 001d 02 0102 0804 0001 03",
		},
		{"ServerHelloDone", AppendServerHelloDone(nil), "0e 000000"},
		{"Finished", AppendFinished(nil, []byte{1, 2, 3}), "14 000003 010203"},
		{
			"NewSessionTicket of TLS 1.3",
			AppendNewSessionTicket13(nil, 0x01020304, 0x05060708, []byte{9}, []byte{10, 11}),
			"04 000010 01020304 05060708 01 09 0002 0a0b 0000",
		},
		{
			"NewSessionTicket of TLS 1.2",
			AppendNewSessionTicket12(nil, 0x01020304, []byte{10, 11}),
			"04 000008 01020304 0002 0a0b",
		},
		{"KeyUpdate", AppendKeyUpdate(nil, false), "18 000001 00"},
		{"KeyUpdate that asks for one", AppendKeyUpdate(nil, true), "18 000001 01"},
		{"message_hash", AppendMessageHash(nil, []byte{1, 2}), "fe 000002 0102"},
		{"after other bytes", AppendFinished([]byte{0xff}, []byte{1}), "ff 14 000001 01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if want := unhex(t, test.want); !bytes.Equal(test.got, want) {
				t.Errorf("got  %x\nwant %x", test.got, want)
			}
		})
	}
}

func TestRetryRandomIsAHash(t *testing.T) {
	if want := sha256.Sum256([]byte("HelloRetryRequest")); RetryRandom != string(want[:]) {
		t.Errorf("got %x, want %x", RetryRandom, want)
	}
}

// What an operator configures can be longer than its length field.
func TestMessagesTooLong(t *testing.T) {
	schemes := []uint16{0x0403}
	name := filled(0xffff-2, 1)
	if _, err := AppendCertificateRequest12(nil, schemes, [][]byte{name}); err != nil {
		t.Errorf("names that just fit TLS 1.2: %v", err)
	}
	if _, err := AppendCertificateRequest12(nil, schemes, [][]byte{name, {1}}); err == nil {
		t.Error("names that are too long for TLS 1.2 are taken")
	}
	if _, err := AppendCertificateRequest13(nil, schemes, [][]byte{name}); err == nil {
		t.Error("names that are too long for TLS 1.3 are taken")
	}
	msg, err := AppendCertificateRequest13(nil, schemes, [][]byte{name[:0xffff-4-6-4-2-2]})
	if err != nil {
		t.Errorf("names that just fit TLS 1.3: %v", err)
	} else if exts := len(msg) - HeaderLen - 1 - 2; exts != int(msg[5])<<8|int(msg[6]) {
		t.Errorf("%d bytes of extensions have length %x", exts, msg[5:7])
	}
	large := make([]byte, 1<<23)
	if _, err := AppendCertificate12(nil, [][]byte{large}); err != nil {
		t.Errorf("a chain of 8 MB: %v", err)
	}
	if _, err := AppendCertificate13(nil, [][]byte{large, large}); err == nil {
		t.Error("a chain that is too long is taken")
	}
}
