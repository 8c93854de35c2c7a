package record

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"fmt"
	"hash"
	"io"
	"net"
	"strings"
	"testing"

	"reprise/internal/testpki"
	"reprise/tlsconn/primitive"
)

// TestRecordsOfStandardLibrary opens every record of connections between clients
// and servers of crypto/tls, and seals the same again.
func TestRecordsOfStandardLibrary(t *testing.T) {
	pki := testpki.New(t)
	for _, suite := range append([]*primitive.Suite{nil}, primitive.Suites12...) {
		name, key := "TLS 1.3", testpki.ECDSA
		config := &tls.Config{MinVersion: tls.VersionTLS13}
		if suite != nil {
			name = suite.OpenSSLName
			config = &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}
			if !suite.ECDSA {
				key = testpki.RSA
			}
		}
		t.Run(name, func(t *testing.T) {
			c := capture(t, config, pki.Server(key, "example.test").TLS)
			if suite != nil && c.suite != suite {
				t.Fatalf("suite %s, want %s", c.suite.Name, suite.Name)
			}
			fromClient := c.reseal(t, "CLIENT", c.sent)
			if got, want := string(fromClient), "ping"; got != want {
				t.Errorf("the client sent %q, want %q", got, want)
			}
			fromServer := c.reseal(t, "SERVER", c.received)
			if want := bytes.Repeat([]byte("pong"), 10000); !bytes.Equal(fromServer, want) {
				t.Errorf("the server sent %d bytes, want %d", len(fromServer), len(want))
			}
		})
	}
}

// A captured connection: what went over the wire, and the secrets.
type captured struct {
	net.Conn
	sent, received bytes.Buffer
	suite          *primitive.Suite
	secrets        map[string][]byte // by their label in the key log
	clientRandom   []byte
}

func (c *captured) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Write(b[:n])
	return n, err
}

func (c *captured) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Write(b[:n])
	return n, err
}

// capture has a client say ping and the server answer with 40,000 bytes of pong.
func capture(t *testing.T, config *tls.Config, cert tls.Certificate) *captured {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	serverErr := make(chan error, 1)
	serverConfig := config.Clone()
	serverConfig.Certificates = []tls.Certificate{cert}
	serverConfig.SessionTicketsDisabled = true
	go func() {
		server := tls.Server(far, serverConfig)
		_, err := io.ReadFull(server, make([]byte, 4))
		if err == nil {
			_, err = server.Write(bytes.Repeat([]byte("pong"), 10000))
		}
		serverErr <- err
	}()
	var log bytes.Buffer
	c := &captured{Conn: near, secrets: map[string][]byte{}}
	clientConfig := config.Clone()
	clientConfig.InsecureSkipVerify = true // what is tested are records
	clientConfig.KeyLogWriter = &log
	client := tls.Client(c, clientConfig)
	if _, err := client.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 40000)); err != nil {
		t.Fatal(err)
	}
	if err := <-serverErr; err != nil {
		t.Fatal(err)
	}
	c.suite = primitive.SuiteByID(client.ConnectionState().CipherSuite)
	for line := range strings.Lines(log.String()) {
		var label, random, secret string
		if _, err := fmt.Sscan(line, &label, &random, &secret); err != nil {
			t.Fatal(err)
		}
		c.secrets[label], c.clientRandom = unhex(secret), unhex(random)
	}
	return c
}

// reseal opens all records of one direction, seals each again and compares. It
// returns the application data.
func (c *captured) reseal(t *testing.T, who string, wire bytes.Buffer) (data []byte) {
	t.Helper()
	var in, out Half
	var s Scratch
	set := func(key, iv []byte) {
		in.Set(c.suite, key, iv)
		out.Set(c.suite, key, iv)
	}
	if c.suite.TLS13 {
		set(c.keys13(who + "_HANDSHAKE_TRAFFIC_SECRET"))
	}
	for wire.Len() >= HeaderLen {
		header := wire.Next(HeaderLen)
		fragment := wire.Next(int(header[3])<<8 | int(header[4]))
		h, sealer := &in, &out
		if c.suite.TLS13 && Type(header[0]) != ApplicationData {
			h, sealer = new(Half), new(Half) // hello and change_cipher_spec
		}
		want := append(bytes.Clone(header), fragment...)
		typ, plain, f := h.Open(&s, nil, header, fragment)
		if f != None {
			t.Fatalf("%s: record % x of %d bytes: %v", who, header, len(fragment), f)
		}
		version := uint16(header[1])<<8 | uint16(header[2])
		if got := sealer.Seal(&s, nil, typ, version, plain); !bytes.Equal(got, want) {
			t.Fatalf("%s: sealed % x, want % x", who, got, want)
		}
		switch {
		case typ == ApplicationData:
			data = append(data, plain...)
		case typ == ChangeCipherSpec && !c.suite.TLS13:
			set(c.keys12(who == "CLIENT"))
		case c.suite.TLS13 && h == &in && typ == Handshake && plain[0] == 20: // Finished
			set(c.keys13(who + "_TRAFFIC_SECRET_0"))
		}
	}
	if wire.Len() != 0 || !in.Protected() || in.Seq() == 0 {
		t.Fatalf("%s: %d bytes left, %d protected records", who, wire.Len(), in.Seq())
	}
	return data
}

// keys13 is RFC 8446, Section 7.3.
func (c *captured) keys13(secret string) (key, iv []byte) {
	expand := func(label string, n int) []byte {
		info := fmt.Sprintf("\x00%c%ctls13 %s\x00", n, 6+len(label), label)
		out, err := hkdf.Expand(c.newHash(), c.secrets[secret], info, n)
		if err != nil {
			panic(err)
		}
		return out
	}
	return expand("key", c.suite.AEAD.KeyLen()), expand("iv", primitive.NonceLen)
}

// keys12 is RFC 5246, Section 6.3, with the function of Section 5.
func (c *captured) keys12(client bool) (key, iv []byte) {
	serverHello := c.received.Bytes()[HeaderLen+4:]
	seed := append([]byte("key expansion"), serverHello[2:34]...)
	seed = append(seed, c.clientRandom...)
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(c.newHash(), c.secrets["CLIENT_RANDOM"])
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	var block []byte
	for a := mac(seed); len(block) < 128; a = mac(a) {
		block = append(block, mac(a, seed)...)
	}
	keyLen, ivLen := c.suite.AEAD.KeyLen(), IVLen(c.suite)
	keys, ivs := block[:2*keyLen], block[2*keyLen:2*keyLen+2*ivLen]
	if client {
		return keys[:keyLen], ivs[:ivLen]
	}
	return keys[keyLen:], ivs[ivLen:]
}

func (c *captured) newHash() func() hash.Hash {
	if c.suite.Hash == primitive.SHA384 {
		return sha512.New384
	}
	return sha256.New
}
