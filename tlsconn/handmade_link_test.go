package tlsconn_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"reprise/internal/memconn"
	"reprise/internal/testpki"
	"reprise/tlsconn"
	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
	"reprise/tlsconn/schedule"
)

// noWaker is for connections that the test resumes itself.
type noWaker struct{}

func (noWaker) Wake() {}

// handmadeMemory keeps sessions and records the use of reservations.
type handmadeMemory struct {
	sessions  map[tlsconn.Key]tlsconn.Session
	elsewhere bool // Find says Unknown, Ask keeps the question
	question  *tlsconn.Lookup
	saved     int
	held      map[uint64]bool // reservations that stand
	next      uint64
	twice     int // releases or spends of what does not stand
	lapsed    bool
}

func newHandmadeMemory() *handmadeMemory {
	return &handmadeMemory{sessions: map[tlsconn.Key]tlsconn.Session{}, held: map[uint64]bool{}}
}

func (m *handmadeMemory) Find(dst []byte, key tlsconn.Key, _ tlsconn.NodeID,
	hold bool,
) (tlsconn.Session, tlsconn.Verdict) {
	s, is := m.sessions[key]
	if !is || m.elsewhere {
		return tlsconn.Session{}, tlsconn.Unknown
	}
	s.State = append(dst, s.State...)
	if hold {
		m.next++
		s.Hold = m.next
		m.held[s.Hold] = true
	}
	return s, tlsconn.Found
}

func (m *handmadeMemory) Ask(l *tlsconn.Lookup) bool {
	if !m.elsewhere {
		return false
	}
	m.question = l
	return true
}

// answer answers the question as a peer's answer would.
func (m *handmadeMemory) answer() bool {
	l := m.question
	s := m.sessions[l.Key]
	s.State = bytes.Clone(s.State)
	if l.Hold {
		m.next++
		s.Hold = m.next
		m.held[s.Hold] = true
	}
	return l.Answer(s, tlsconn.Found)
}

func (m *handmadeMemory) Save(key tlsconn.Key, s tlsconn.Session) {
	s.State = bytes.Clone(s.State)
	m.sessions[key] = s
	m.saved++
}

func (m *handmadeMemory) Release(_ tlsconn.Key, _ tlsconn.NodeID, hold uint64) {
	if !m.held[hold] {
		m.twice++
	}
	delete(m.held, hold)
}

func (m *handmadeMemory) Spend(key tlsconn.Key, _ tlsconn.NodeID, hold uint64,
	_ time.Duration,
) bool {
	if !m.held[hold] {
		m.twice++
	}
	delete(m.held, hold)
	delete(m.sessions, key)
	return !m.lapsed
}

// handmadeServer makes a server for www.example.test; change may alter its
// configuration.
func handmadeServer(t testing.TB, m tlsconn.Sessions, change func(*tlsconn.Config)) tlsconn.Server {
	t.Helper()
	pair, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}, Key: testpki.ECDSA})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: pair.TLS}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tlsconn.NewHandleKeys([]byte("secret of a review, long enough"))
	if err != nil {
		t.Fatal(err)
	}
	c := tlsconn.Config{
		Certificates: certs, Sessions: m, Handles: keys, Lifetime: time.Hour,
		Now: time.Now,
	}
	if change != nil {
		change(&c)
	}
	s, err := tlsconn.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// handmadeLink is the client's end of a connection whose other end is a Conn.
type handmadeLink struct {
	memconn.Rest
	conn     tlsconn.Conn
	sent     []byte // by the client, not fed yet
	arrived  []byte // for the client
	plain    []byte // what the server has read
	hold     bool   // what the client sends waits in sent
	keys     bytes.Buffer
	client   *tls.Conn
	received []byte // all that the server sent
}

func dial(s tlsconn.Server, config *tls.Config) *handmadeLink {
	l := &handmadeLink{conn: s.NewConn(noWaker{})}
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName = "www.example.test"
	}
	config.InsecureSkipVerify = true
	config.KeyLogWriter = &l.keys
	l.client = tls.Client(l, config)
	return l
}

// feed gives the server bytes and takes its answers.
func (l *handmadeLink) feed(in []byte) []byte {
	out := l.conn.Feed(nil, in)
	p := make([]byte, 20000)
	for l.conn.State() == tlsconn.Connected {
		n, o := l.conn.Read(out, p)
		out = o
		if n == 0 {
			break
		}
		l.plain = append(l.plain, p[:n]...)
	}
	l.take(out)
	return out
}

func (l *handmadeLink) take(out []byte) {
	l.arrived = append(l.arrived, out...)
	l.received = append(l.received, out...)
}

func (l *handmadeLink) Read(p []byte) (int, error) {
	if len(l.arrived) == 0 && !l.hold {
		in := l.sent
		l.sent = nil
		l.feed(in)
	}
	if len(l.arrived) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.arrived)
	l.arrived = l.arrived[n:]
	return n, nil
}

func (l *handmadeLink) Write(p []byte) (int, error) {
	l.sent = append(l.sent, p...)
	return len(p), nil
}

// flush feeds what the client has sent.
func (l *handmadeLink) flush() { in := l.sent; l.sent = nil; l.feed(in) }

// secret returns one that the client has logged.
func (l *handmadeLink) secret(t testing.TB, label string) []byte {
	t.Helper()
	for s := bufio.NewScanner(bytes.NewReader(l.keys.Bytes())); s.Scan(); {
		if f := strings.Fields(s.Text()); f[0] == label {
			b, _ := hex.DecodeString(f[2])
			return b
		}
	}
	t.Fatalf("no %s", label)
	return nil
}

// half13 returns one way's record protection in TLS 1.3.
func (l *handmadeLink) half13(t testing.TB, label string) *record.Half {
	t.Helper()
	suite := primitive.SuiteByID(l.client.ConnectionState().CipherSuite)
	if suite == nil {
		suite = primitive.SuiteByID(l.conn.Info().CipherSuite)
	}
	if suite == nil {
		suite = primitive.SuiteByID(tls.TLS_AES_128_GCM_SHA256)
	}
	secret := l.secret(t, label)
	return halfOf(suite, secret)
}

func halfOf(suite *primitive.Suite, secret []byte) *record.Half {
	var k schedule.Scratch
	key, iv := make([]byte, suite.AEAD.KeyLen()), make([]byte, primitive.NonceLen)
	k.TrafficKeys(suite.Hash, secret, key, iv)
	h := new(record.Half)
	h.Set(suite, key, iv)
	return h
}

func seal(h *record.Half, t record.Type, p ...byte) []byte {
	var s record.Scratch
	return h.Seal(&s, nil, t, 0x0303, p)
}
