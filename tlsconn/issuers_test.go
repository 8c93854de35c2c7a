package tlsconn

import (
	"testing"
	"time"

	"reprise/internal/testpki"
	"reprise/tlsconn/wire"
)

// A client that names CAs gets the certificate of one of them, where a name has several.
func TestCertificateOfACAThatTheClientNames(t *testing.T) {
	cas, names := map[string]*testpki.CA{}, map[string][]byte{"unknown": []byte("another name")}
	issue := func(ca string, only bool) Certificate {
		if cas[ca] == nil {
			made, err := testpki.NewCA(ca)
			if err != nil {
				t.Fatal(err)
			}
			cas[ca] = made
		}
		cert, err := cas[ca].Issue(testpki.Template{CommonName: "of " +
			ca, Names: []string{"www.example.test"}, Key: testpki.ECDSA})
		if err != nil {
			t.Fatal(err)
		}
		names[ca] = cert.TLS.Leaf.RawIssuer
		return Certificate{TLS: cert.TLS, ForNamedIssuer: only}
	}
	for _, test := range []struct {
		name  string
		certs []Certificate // in order of preference
		named []string      // by the client
		want  int
	}{
		{"nothing named", []Certificate{issue("a", false), issue("b", false)}, nil, 0},
		{"second named", []Certificate{issue("a", false), issue("b", false)}, []string{"unknown", "b"}, 1},
		{"both named", []Certificate{issue("a", false), issue("b", false)}, []string{"b", "a"}, 0},
		{"neither named", []Certificate{issue("a", false), issue("b", false)}, []string{"unknown"}, 0},
		{"reserved and not named", []Certificate{issue("a", true), issue("b", false)}, []string{"unknown"}, 1},
		{"reserved, nothing named", []Certificate{issue("a", true), issue("b", false)}, nil, 1},
		{"reserved and named", []Certificate{issue("a", true), issue("b", false)}, []string{"a"}, 0},
		{"all reserved", []Certificate{issue("a", true), issue("b", true)}, []string{"unknown"}, none},
	} {
		certs, err := NewCertificates(test.certs)
		if err != nil {
			t.Fatal(err)
		}
		srv, err := New(Config{Certificates: certs, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		var hello wire.ClientHello
		for _, name := range test.named {
			hello.Authorities = append(hello.Authorities, 0, byte(len(names[name])))
			hello.Authorities = append(hello.Authorities, names[name]...)
		}
		got := srv.(*server).other.chosen(&hello)
		if got != test.want {
			t.Errorf("%s: got certificate %d, want %d", test.name, got, test.want)
		}
		srv.Close()
	}
}

// none is the place of no certificate.
const none = -1

// chosen is the place of the certificate that a client gets, or none.
func (h *host) chosen(hello *wire.ClientHello) int {
	got := none
	if id := h.choose(hello, func(*identity) bool { return true }); id != nil {
		for i := range h.identities {
			if h.identities[i] == id {
				got = i
			}
		}
	}
	return got
}
