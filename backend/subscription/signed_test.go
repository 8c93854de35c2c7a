package subscription_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"reprise/backend/subscription"
)

// signed appends time and signature, as uWSGI does.
func signed(t testing.TB, key crypto.Signer, unix int64, p []byte) []byte {
	p = slices.Clone(p)
	add := func(key, value string) {
		p = binary.LittleEndian.AppendUint16(p, uint16(len(key)))
		p = append(p, key...)
		p = binary.LittleEndian.AppendUint16(p, uint16(len(value)))
		p = append(p, value...)
	}
	add("unix", fmt.Sprint(unix))
	digest := sha256.Sum256(p[4:])
	s, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	add("sign", string(s))
	binary.LittleEndian.PutUint16(p[1:], uint16(len(p)-4))
	return p
}

// TestSigned: signatures identify a domain, and a signed packet counts once.
func TestSigned(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"rsa.example": rsaKey, "ec.example": ecKey}
	o := options()
	asked := 0
	o.Key = func(domain []byte) (crypto.PublicKey, error) {
		asked++
		if k := keys[string(domain)]; k != nil {
			return k.Public(), nil
		}
		return nil, errors.New("none")
	}
	for domain, key := range keys {
		t.Run(domain, func(t *testing.T) {
			table := subscription.New(o)
			unix := now.Unix()
			hello := join("key="+domain, "address=10.1.2.3:1")
			bye := packet(true, "key="+domain, "address=10.1.2.3:1")
			other := keys["rsa.example"]
			if domain == "rsa.example" {
				other = keys["ec.example"]
			}
			joined := "joined " + domain + " tcp:10.1.2.3:1 *1"
			for _, test := range []struct {
				name string
				p    []byte
				want string
			}{
				{"unsigned", hello, "refused signature"},
				{"by another key", signed(t, other, unix, hello), "refused signature"},
				{"changed", bytes.Replace(signed(t, key, unix, hello), []byte(".3:1"), []byte(".3:2"), 1), "refused signature"},
				{"another domain", signed(t, key, unix, join("key=unknown.example", "address=10.1.2.3:1")), "refused signature"},
				{"an address that the signature does not cover", signed(t, key, unix, join("key="+domain, "address=:1")), "refused address"},
				{"too old", signed(t, key, unix-3601, hello), "refused replay"},
				{"of times to come", signed(t, key, unix+3601, hello), "refused replay"},
				{"at the edge", signed(t, key, unix-3600, hello), joined},
				{"now", signed(t, key, unix, hello), ""},
				{"again", signed(t, key, unix, hello), "refused replay"},
				{"an end with the time of what was seen", signed(t, key, unix, bye), "refused replay"},
				{"an end", signed(t, key, unix+1, bye), "left " + domain + " tcp:10.1.2.3:1 *1"},
				{"back by what was recorded", signed(t, key, unix+1, hello), "refused replay"},
				{"back", signed(t, key, unix+2, hello), joined},
			} {
				if got := describe(table.Receive(now, lan, test.p)); got != test.want {
					t.Errorf("%s: got %q, want %q", test.name, got, test.want)
				}
			}
			testSignedReplays(t, table, &asked, domain, key)
		})
	}
}

// testSignedReplays: a member that left is remembered until its packets are too old, then
// forgotten.
func testSignedReplays(t *testing.T, table *subscription.Table, asked *int, domain string,
	key crypto.Signer,
) {
	unix := now.Unix()
	hello := join("key="+domain, "address=10.1.2.3:1")
	bye := packet(true, "key="+domain, "address=10.1.2.3:1")
	table.Receive(now, lan, signed(t, key, unix+3, bye))
	table.Expire(now.Add(time.Minute))
	if _, why := table.Receive(now, lan,
		signed(t, key, unix+3, hello)); why != subscription.RefusedReplay {
		t.Errorf("got %v, want a replay", why)
	}
	later := now.Add(2 * time.Hour)
	table.Expire(later)
	before := *asked
	if _, why := table.Receive(later, lan,
		signed(t, key, unix+3, hello)); why != subscription.RefusedReplay || *asked != before {
		t.Errorf("got %v and %d looks for keys, want a replay and none", why, *asked-before)
	}
}

// TestSignedPacketsOfUnknownMembers: a domain's key affects only that domain, and a signed packet
// of an unknown member counts once too.
func TestSignedPacketsOfUnknownMembers(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Members, o.HostMembers = 6, 3
	o.Key = func([]byte) (crypto.PublicKey, error) { return key.Public(), nil }
	table := subscription.New(o)
	unix := now.Unix()
	for i := range 7 { // each leaves at once
		address := fmt.Sprint("address=10.1.2.3:", i+1)
		table.Receive(now, lan, signed(t, key, unix, join("key=greedy", address)))
		table.Receive(now, lan, signed(t, key, unix+1, packet(true, "key=greedy", address)))
	}
	if got, want := describe(table.Receive(now, lan, signed(t, key, unix, join("key=other", "address=10.1.2.3:1")))), "joined other tcp:10.1.2.3:1 *1"; got != want {
		t.Errorf("beside a domain that comes and goes: got %q, want %q", got, want)
	}
	if got := describe(table.Receive(now, lan, signed(t, key, unix+1, packet(true, "key=new", "address=10.1.2.3:1")))); got != "" {
		t.Errorf("an end of what is not known: got %q", got)
	}
	if got, want := describe(table.Receive(now, lan, signed(t, key, unix, join("key=new", "address=10.1.2.3:1")))), "refused replay"; got != want {
		t.Errorf("a packet signed before it: got %q, want %q", got, want)
	}
	table.Expire(now.Add(2 * time.Hour))
	for i := range 3 {
		later := now.Add(2 * time.Hour)
		if _, why := table.Receive(later, lan,
			signed(t, key, later.Unix(), join("key=greedy", fmt.Sprint("address=10.1.2.3:", i+1)))); why != subscription.Accepted {
			t.Errorf("when all is forgotten: %v", why)
		}
	}
}

func TestKeyFile(t *testing.T) {
	for domain, want := range map[string]string{
		"a.example": "a.example.pem", "A-b_c": "A-b_c.pem", "../../x": ".._.._x.pem", "a:80": "a_80.pem", "\x00/": "__.pem", "": ".pem",
	} {
		if got := subscription.KeyFile([]byte(domain)); got != want {
			t.Errorf("%q: got %q, want %q", domain, got, want)
		}
	}
}

func TestParseKey(t *testing.T) {
	for _, data := range []string{"", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := subscription.ParseKey([]byte(data)); err == nil {
			t.Errorf("%q: accepted", data)
		}
	}
}
