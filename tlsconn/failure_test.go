package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"reprise/tlsconn"
)

// Alert descriptions (RFC 8446, Section 6).
const (
	alertUnexpectedMessage    = 10
	alertBadRecordMAC         = 20
	alertRecordOverflow       = 22
	alertHandshakeFailure     = 40
	alertDecodeError          = 50
	alertDecryptError         = 51
	alertProtocolVersion      = 70
	alertUnsupportedExtension = 110
	alertNoApplicationProto   = 120
)

// wantFailure does a handshake that must fail on the server for the reason.
func wantFailure(t *testing.T, p *pair, want tlsconn.Reason) {
	t.Helper()
	p.client.Handshake() // a TLS 1.3 client does not learn of a failure here
	p.link.drive()
	wantReason(t, p.conn, want)
	if len(p.link.toClient) == 0 {
		return // the client has read its alert
	}
	if _, err := p.client.Read(make([]byte, 1)); err == nil {
		t.Error("the client reads as if nothing had failed")
	}
}

func wantReason(t *testing.T, c tlsconn.Conn, want tlsconn.Reason) {
	t.Helper()
	err, ok := c.Err().(*tlsconn.Error) //nolint:errorlint // the contract of Err
	if c.State() != tlsconn.Failed || !ok || err.Reason != want {
		t.Fatalf("got state %v, error %v (%+v), want %v", c.State(), c.Err(), err, want)
	}
}

// HTTP without TLS is distinguished from other garbage, since a listener of HTTP has an answer for
// it.
func TestPlainHTTPIsDetected(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, test := range []struct {
			in   string
			want bool
		}{
			{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
			{"PUT /", true},
			{"OPTIONS * HTTP/1.1\r\n\r\n", true},
			{"CONNECT a:443 HTTP/1.1\r\n\r\n", true},
			{"get / HTTP/1.1\r\n\r\n", false},
			{"GE\x00T / HTTP/1.1\r\n\r\n", false},
			{"\xde\xad\xbe\xef\xde\xad\xbe\xef", false},
		} {
			p := newPair(t, e.server(t), nil)
			p.link.toServer = []byte(test.in)
			p.link.drive()
			wantReason(t, p.conn, tlsconn.ReasonNotTLS)
			if got := errors.Is(p.conn.Err(), tlsconn.ErrPlainHTTP); got != test.want {
				t.Errorf("%q: got %v, want plain HTTP %v", test.in, p.conn.Err(), test.want)
			}
		}
	})
}

// Of a handshake that fails there is the name that the client asked for.
func TestFailedHandshakeHasItsServerName(t *testing.T) {
	own := engines[0] // crypto/tls does not tell it
	for _, test := range []struct {
		want   tlsconn.Reason
		change func(client *tls.Config)
	}{
		{tlsconn.ReasonNoALPN, func(client *tls.Config) { client.NextProtos = []string{"never heard of"} }},
		{tlsconn.ReasonNoVersion, func(client *tls.Config) {
			client.MinVersion, client.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
		}},
	} {
		client := clientConfig()
		test.change(client)
		p := newPair(t, own.server(t, func(c *tlsconn.Config) { c.ALPN = []string{"h2"} }), client)
		wantFailure(t, p, test.want)
		if got := p.conn.Info().ServerName; got != "www.example.test" {
			t.Errorf("%v: got server name %q", test.want, got)
		}
	}
}

// wantAlert checks that out ends in a plaintext fatal alert.
func wantAlert(t *testing.T, out []byte, want byte) {
	t.Helper()
	if len(out) < 7 || !bytes.Equal(out[len(out)-7:len(out)-6], []byte{21}) ||
		!bytes.Equal(out[len(out)-4:], []byte{0, 2, 2, want}) {
		t.Errorf("output ends in % x, want fatal alert %d", out[max(0, len(out)-7):], want)
	}
}

// clientHello returns a client's first message.
func clientHello(t testing.TB, client *tls.Config) []byte {
	t.Helper()
	var said sink
	tls.Client(&said, client).Handshake()
	if len(said.bytes) < 100 {
		t.Fatal("no ClientHello")
	}
	return said.bytes
}

// A sink is a server that never says anything.
type sink struct {
	link
	bytes []byte
}

func (s *sink) Read([]byte) (int, error) { return 0, io.EOF }

func (s *sink) Write(p []byte) (int, error) {
	s.bytes = append(s.bytes, p...)
	return len(p), nil
}

// It is long because it is a table.
func TestHostileFirstBytes(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		hello := clientHello(t, clientConfig())
		config := func(edit func(*tls.Config)) []byte {
			c := clientConfig()
			edit(c)
			return clientHello(t, c)
		}
		for _, test := range []struct {
			name  string
			in    []byte
			eof   bool
			want  tlsconn.Reason
			alert byte
		}{
			{"plain HTTP", []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), false, tlsconn.ReasonNotTLS, alertUnexpectedMessage},
			{
				"garbage", bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 64), false, tlsconn.ReasonNotTLS,
				alertUnexpectedMessage,
			},
			{
				"SSLv2",
				[]byte{0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10},
				false, tlsconn.ReasonNotTLS,
				e.alertSSLv2,
			},
			{"nothing", nil, true, tlsconn.ReasonTruncated, alertDecodeError},
			{"one byte", hello[:1], true, tlsconn.ReasonTruncated, alertDecodeError},
			{"half a ClientHello", hello[:len(hello)/2], true, tlsconn.ReasonTruncated, alertDecodeError},
			{
				"oversized record", append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 1<<16)...), false, tlsconn.ReasonOversized,
				alertRecordOverflow,
			},
			{"oversized record's header alone", []byte{22, 3, 1, 0xff, 0xff}, false, tlsconn.ReasonOversized, alertRecordOverflow},
			{"a fatal alert", []byte{21, 3, 1, 0, 2, 2, 40}, false, tlsconn.ReasonPeerAlert, 0},
			{"another message", []byte{22, 3, 1, 0, 4, 14, 0, 0, 0}, false, tlsconn.ReasonUnexpected, alertUnexpectedMessage},
			{"TLS 1.1", config(func(c *tls.Config) {
				c.MinVersion, c.MaxVersion = tls.VersionTLS10,
					tls.VersionTLS11
			}), false, tlsconn.ReasonNoVersion, alertProtocolVersion},
			{"no common cipher suite", config(func(c *tls.Config) {
				c.MaxVersion = tls.VersionTLS12
				c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} // the certificate is ECDSA
			}), false, tlsconn.ReasonNoCipher, alertHandshakeFailure},
		} {
			for _, cut := range []struct {
				name string
				cut  func(int) int
			}{{"whole", whole}, {"byte by byte", oneByOne}} {
				t.Run(test.name+"/"+cut.name, func(t *testing.T) {
					p := newPair(t, e.server(t), nil)
					p.link.toServer, p.link.eof, p.link.cut = test.in, test.eof, cut.cut
					p.link.drive()
					wantReason(t, p.conn, test.want)
					if test.alert == 0 {
						if len(p.link.toClient) > 0 {
							t.Errorf("an alert was answered with % x", p.link.toClient)
						}
						return
					}
					wantAlert(t, p.link.toClient, test.alert)
				})
			}
		}
	})
}

// Early data that an engine cannot skip is refused with a reason of its own.
func TestEarlyDataRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		if !e.refusesEarlyData {
			t.Skip("this engine skips it")
		}
		p := newPair(t, e.server(t), nil)
		p.link.toServer = withExtension(clientHello(t, clientConfig()), 42, nil)
		p.link.drive()
		wantReason(t, p.conn, tlsconn.ReasonEarlyData)
		wantAlert(t, p.link.toClient, alertUnsupportedExtension)
	})
}

// withExtension adds an extension at the front of those of a ClientHello.
func withExtension(hello []byte, id uint16, data []byte) []byte {
	at := extensionsAt(hello)
	ext := binary.BigEndian.AppendUint16(nil, id)
	ext = binary.BigEndian.AppendUint16(ext, uint16(len(data)))
	ext = append(ext, data...)
	return spliceHello(hello, at+2, at+2, ext)
}

// withoutExtension removes one from a ClientHello.
func withoutExtension(hello []byte, id uint16) []byte {
	at := extensionsAt(hello) + 2
	for binary.BigEndian.Uint16(hello[at:]) != id {
		at += 4 + int(binary.BigEndian.Uint16(hello[at+2:]))
	}
	return spliceHello(hello, at, at+4+int(binary.BigEndian.Uint16(hello[at+2:])), nil)
}

// spliceHello replaces hello[from:to], which lies in the extensions, and
// corrects the three lengths around it.
func spliceHello(hello []byte, from, to int, with []byte) []byte {
	grown := len(with) - (to - from)
	h := append([]byte(nil), hello[:from]...)
	h = append(append(h, with...), hello[to:]...)
	for _, at := range []int{3, 7, extensionsAt(hello)} { // record, message (low bytes), extensions
		binary.BigEndian.PutUint16(h[at:], uint16(int(binary.BigEndian.Uint16(h[at:]))+grown))
	}
	return h
}

// extensionsAt returns where a ClientHello's extensions are (RFC 8446, Section
// 4.1.2).
func extensionsAt(hello []byte) int {
	at := 5 + 4 + 2 + 32                               // record and message header, version, random
	at += 1 + int(hello[at])                           // session id
	at += 2 + int(binary.BigEndian.Uint16(hello[at:])) // cipher suites
	return at + 1 + int(hello[at])                     // compression methods
}

func TestNoCommonALPN(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			client := clientConfig()
			client.MaxVersion = version.id
			client.NextProtos = []string{"spdy/3"}
			p := newPair(t, e.server(t, func(c *tlsconn.Config) { c.ALPN = []string{"h2"} }), client)
			p.link.toServer = clientHello(t, client)
			p.link.drive()
			wantReason(t, p.conn, tlsconn.ReasonNoALPN)
			wantAlert(t, p.link.toClient, alertNoApplicationProto)
		}
	})
}

// A client that offers a session without holding its secret fails, and the
// session stays usable.
func TestBadBinder(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		client := clientConfig()
		client.ClientSessionCache = new(firstSession)
		s := e.server(t)
		newPair(t, s, client).doHandshake()
		hello := clientHello(t, client)
		hello[len(hello)-1] ^= 1 // the binder comes last (RFC 8446, Section 4.2.11)
		p := newPair(t, s, nil)
		p.link.toServer = hello
		p.link.drive()
		wantReason(t, p.conn, tlsconn.ReasonBadBinder)
		wantAlert(t, p.link.toClient, alertDecryptError)
		if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != tlsconn.ResumedLocal {
			t.Errorf("the session after a bad binder: got %v, want %v", got, tlsconn.ResumedLocal)
		}
	})
}

func TestDamagedRecord(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			client := clientConfig()
			client.MaxVersion = version.id
			p := newPair(t, e.server(t), client).doHandshake()
			p.client.Write([]byte("hello"))
			p.link.toServer[len(p.link.toServer)-1] ^= 1
			p.link.drive()
			wantReason(t, p.conn, tlsconn.ReasonBadRecord)
			if got := p.link.takePlaintext(); len(got) > 0 {
				t.Errorf("%s: a damaged record was read as %q", version.name, got)
			}
			if _, err := p.client.Read(make([]byte, 1)); err == nil || err.Error() != "remote error: tls: bad record MAC" {
				t.Errorf("%s: client got %v, want the alert", version.name, err)
			}
		}
	})
}

func TestOversizedRecordOnceConnected(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			client := clientConfig()
			client.MaxVersion = version.id
			p := newPair(t, e.server(t), client).doHandshake()
			p.link.toServer = []byte{23, 3, 3, 0xff, 0xff} // the header is enough
			p.link.drive()
			wantReason(t, p.conn, tlsconn.ReasonOversized)
			if _, err := p.client.Read(make([]byte, 1)); err == nil || err.Error() != "remote error: tls: record overflow" {
				t.Errorf("%s: client got %v, want the alert", version.name, err)
			}
		}
	})
}

// After a failure nothing happens any more, whatever is called.
func TestFirstErrorSticks(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for name, fail := range map[string]func(*pair){
			"in the handshake": func(p *pair) { p.link.toServer = []byte("GET / HTTP/1.1\r\n\r\n"); p.link.drive() },
			"once connected":   func(p *pair) { p.doHandshake(); p.link.toServer = make([]byte, 100); p.link.drive() },
			"by Abort":         func(p *pair) { p.doHandshake(); p.conn.Abort() },
		} {
			t.Run(name, func(t *testing.T) {
				p := newPair(t, e.server(t), nil)
				fail(p)
				c, want := p.conn, p.conn.Err()
				if want == nil {
					t.Fatal("no failure")
				}
				var out []byte
				for range 2 {
					out = c.Feed(out, []byte("more"))
					out = c.Write(out, []byte("data"))
					out = c.CloseNotify(out)
					out = c.Resume(out)
					out = c.GiveUp(out)
					out = c.EOF(out)
					if n, o := c.Read(out, make([]byte, 10)); n != 0 || len(o) != len(out) {
						t.Errorf("Read after the failure: %d bytes", n)
					}
					c.Abort()
				}
				if len(out) > 0 {
					t.Errorf("output after the failure: % x", out)
				}
				if c.State() != tlsconn.Failed || c.Err() != want {
					t.Errorf("got %v, %v, want %v, %v", c.State(), c.Err(), tlsconn.Failed, want)
				}
			})
		}
	})
}

// A connection of no use yet can be dropped, fed nothing and told nothing.
func TestUnused(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		c := e.server(t).NewConn(nil)
		if out := c.CloseNotify(c.Write(c.Resume(c.GiveUp(c.Feed(nil, nil))), []byte("early"))); len(out) > 0 {
			t.Errorf("output before the handshake: % x", out)
		}
		if c.State() != tlsconn.ExpectHandshakeBytes || c.Err() != nil {
			t.Errorf("got %v, %v", c.State(), c.Err())
		}
		c.Abort()
		wantReason(t, c, tlsconn.ReasonAborted)
	})
}
