package acme

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"path"
	"testing"

	"github.com/mholt/acmez/v3/acme"
)

// newClient has a directory for its storage, and never contacts an authority.
func newClient(t *testing.T, storage string, names ...string) *Client {
	t.Helper()
	c, err := New(Options{Names: names, Directory: "https://127.0.0.1:9/dir", Storage: storage, Changed: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestChallengesOfAnotherNode: another node answers a stored challenge, for exactly its name and
// token, until it is deleted.
func TestChallengesOfAnotherNode(t *testing.T) {
	dir := t.TempDir()
	orders, asked := newClient(t, dir, "a.test"), newClient(t, dir)
	present := func(kind, name, token string) string {
		t.Helper()
		stored, err := json.Marshal(acme.Challenge{
			Type: kind, Token: token, KeyAuthorization: token +
				".thumb", Identifier: acme.Identifier{Type: "dns", Value: name},
		})
		if err != nil {
			t.Fatal(err)
		}
		key := path.Join(orders.storage.tokens, name+".json")
		if err := orders.storage.Storage.Store(t.Context(), key, stored); err != nil {
			t.Fatal(err)
		}
		return key
	}
	key := present(acme.ChallengeTypeHTTP01, "a.test", "t1")
	present(acme.ChallengeTypeTLSALPN01, "b.test", "t2")
	asked.lookForChallenges(t.Context())
	for _, tc := range []struct{ host, token, want string }{
		{"a.test", "t1", "t1.thumb"}, {"A.test:80", "t1", "t1.thumb"}, {"a.test", "t2", ""}, {"b.test", "t2", ""}, {"", "t1", ""}, {"a.test", "", ""},
	} {
		if got := asked.KeyAuthorization([]byte(tc.host), []byte(tc.token)); got != tc.want {
			t.Errorf("%q %q: got %q, want %q", tc.host, tc.token, got, tc.want)
		}
	}
	if cert := asked.Challenge("B.test"); cert == nil || cert.Leaf == nil || cert.Leaf.DNSNames[0] != "b.test" {
		t.Errorf("got %v", cert)
	}
	if cert := asked.Challenge("a.test"); cert != nil {
		t.Error("a certificate where text is asked for")
	}
	before := asked.Challenge("b.test")
	asked.lookForChallenges(t.Context())
	if asked.Challenge("b.test") != before {
		t.Error("the certificate is made for each look")
	}
	if err := orders.storage.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	asked.lookForChallenges(t.Context())
	if got := asked.KeyAuthorization([]byte("a.test"), []byte("t1")); got != "" {
		t.Errorf("it is over, and answered by %q", got)
	}
	if n := asked.Stats().Challenges; n != 5 {
		t.Errorf("%d answers counted", n)
	}
	for i := range 3 {
		if err := orders.storage.Storage.Store(t.Context(),
			path.Join(orders.storage.tokens, fmt.Sprint("junk", i)), []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	asked.lookForChallenges(t.Context())
	if asked.Challenge("b.test") != before {
		t.Error("what cannot be read hides what can")
	}
}

// TestNames: until a certificate is issued a name has a placeholder, and names can be added and
// removed.
func TestNames(t *testing.T) {
	c := newClient(t, t.TempDir(), "a.test")
	has := func(name string) *tls.Certificate {
		t.Helper()
		cert, issued := c.Certificate(name)
		if issued {
			t.Errorf("%s: reported as issued", name)
		}
		return cert
	}
	first := has("a.test")
	if first == nil || first.Leaf.DNSNames[0] != "a.test" || has("b.test") != nil {
		t.Fatal("not just a.test")
	}
	if err := c.SetNames([]string{"a.test", "b.test"}); err != nil {
		t.Fatal(err)
	}
	if has("a.test") != first || has("b.test") == nil {
		t.Error("not both")
	}
	if err := c.SetNames([]string{"b.test"}); err != nil || has("a.test") != nil {
		t.Errorf("a.test is not gone, %v", err)
	}
	if s := c.Stats(); s.Names != 1 || s.Missing != 1 {
		t.Errorf("got %+v", s)
	}
}
