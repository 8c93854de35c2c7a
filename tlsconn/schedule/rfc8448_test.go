package schedule

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/wire"
)

// A trace is a section of RFC 8448: records and secrets by their names.
type trace struct {
	name   string
	values map[string][]byte
}

// traces reads testdata/rfc8448.txt, which says how it is written.
func traces(t *testing.T) []trace {
	t.Helper()
	text, err := os.ReadFile("testdata/rfc8448.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []trace
	name := ""
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] == "#":
			continue
		case fields[0] == "section":
			all = append(all, trace{strings.Join(fields[1:], " "), make(map[string][]byte)})
			continue
		case line[0] != ' ':
			name, fields = fields[0], fields[1:]
		}
		for _, f := range fields {
			b, err := hex.DecodeString(f)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			values := all[len(all)-1].values
			values[name] = append(values[name], b...)
		}
	}
	return all
}

// message returns what a plaintext record holds; nil if the trace has none.
func (tr *trace) message(name string) []byte {
	if record := tr.values[name]; record != nil {
		return record[5:]
	}
	return nil
}

// open decrypts the first record of a direction.
func (tr *trace) open(t *testing.T, name string, key, iv []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	record := tr.values[name]
	plain, err := aead.Open(nil, iv, record[5:], record[:5])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if typ := plain[len(plain)-1]; typ != 22 {
		t.Fatalf("%s is of type %d", name, typ)
	}
	return plain[:len(plain)-1]
}

// check compares a value with the trace's one of a name, if it prints that.
func (tr *trace) check(t *testing.T, name string, got []byte) {
	t.Helper()
	if want, ok := tr.values[name]; ok && !bytes.Equal(got, want) {
		t.Errorf("%s: got %x, want %x", name, got, want)
	}
}

// agree returns the secret that the client shares with the server.
func (tr *trace) agree(t *testing.T) []byte {
	t.Helper()
	hello := tr.message("server_hello")
	curve, size := ecdh.X25519(), 32
	if bytes.Contains(hello, []byte{0, 51, 0, 69, 0, 23, 0, 65}) { // a key_share of P-256
		curve, size = ecdh.P256(), 65
	}
	// supported_versions, of six bytes, comes after key_share in all of them.
	share := hello[len(hello)-6-size : len(hello)-6]
	public, err := curve.NewPublicKey(share)
	if err != nil {
		t.Fatal(err)
	}
	private, err := curve.NewPrivateKey(tr.values["client_private"])
	if err != nil {
		t.Fatal(err)
	}
	secret, err := private.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestTracesOfRFC8448(t *testing.T) {
	all := traces(t)
	if len(all) != 4 {
		t.Fatalf("testdata has %d traces, want 4", len(all))
	}
	for _, tr := range all {
		t.Run(tr.name, func(t *testing.T) { tr.run(t) })
	}
}

// run goes through a handshake in the order of its messages. It is long because a handshake is,
// and each step needs what those before it left.
func (tr *trace) run(t *testing.T) {
	const h = primitive.SHA256
	var s Scratch
	var k Schedule
	var secret [32]byte
	hs := make(map[string][]byte)
	transcript := sha256.New()
	// derive keeps a secret under its name, and its keys under name_key, name_iv.
	derive := func(name, label string) {
		t.Helper()
		var key [16]byte
		var iv [12]byte
		k.Derive(&s, secret[:], label, transcript.Sum(nil))
		s.TrafficKeys(h, secret[:], key[:], iv[:])
		hs[name] = bytes.Clone(secret[:])
		hs[name+"_key"], hs[name+"_iv"] = bytes.Clone(key[:]), bytes.Clone(iv[:])
		for _, n := range []string{name, name + "_key", name + "_iv"} {
			tr.check(t, n, hs[n])
		}
	}

	if retry := tr.message("retry"); retry != nil {
		first := sha256.Sum256(tr.message("client_hello_1"))
		transcript.Write(wire.AppendMessageHash(nil, first[:]))
		transcript.Write(retry)
	}
	var hello wire.ClientHello
	if f := hello.Parse(tr.message("client_hello")); f != wire.None {
		t.Fatalf("the ClientHello does not parse: %v", f)
	}
	psk := tr.values["psk"]
	k.Start(&s, h, psk)
	tr.check(t, "early", k.secret[:32])
	if psk != nil {
		_, binder, _ := hello.Identity(0)
		sum := sha256.Sum256(hello.Raw[:hello.BindersAt])
		s.Binder(h, secret[:], &k, sum[:])
		tr.check(t, "binder", secret[:])
		tr.check(t, "binder", binder)
	}
	transcript.Write(hello.Raw)
	derive("c_e", "c e traffic")
	derive("e_exp", "e exp master")

	transcript.Write(tr.message("server_hello"))
	k.Next(&s, tr.agree(t))
	tr.check(t, "handshake", k.secret[:32])
	derive("c_hs", "c hs traffic")
	derive("s_hs", "s hs traffic")

	flight := tr.open(t, "server_flight", hs["s_hs_key"], hs["s_hs_iv"])
	finished := flight[len(flight)-36:]
	transcript.Write(flight[:len(flight)-36])
	s.Finished(h, secret[:], hs["s_hs"], transcript.Sum(nil))
	if want := wire.AppendFinished(nil, secret[:]); !bytes.Equal(want, finished) {
		t.Errorf("server's Finished: got %x, want %x", finished, want)
	}
	transcript.Write(finished)

	k.Next(&s, nil)
	tr.check(t, "master", k.secret[:32])
	derive("c_ap", "c ap traffic")
	derive("s_ap", "s ap traffic")
	derive("exp", "exp master")

	if psk != nil { // with early data, which the server accepts in this trace
		transcript.Write([]byte{wire.TypeEndOfEarlyData, 0, 0, 0})
	}
	s.Finished(h, secret[:], hs["c_hs"], transcript.Sum(nil))
	finished = tr.open(t, "client_finished", hs["c_hs_key"], hs["c_hs_iv"])
	if want := wire.AppendFinished(nil, secret[:]); !bytes.Equal(want, finished) {
		t.Errorf("client's Finished: got %x, want %x", finished, want)
	}
	transcript.Write(finished)
	derive("res", "res master")
	s.Resumption(h, secret[:], hs["res"], []byte{0, 0})
	tr.check(t, "ticket_psk", secret[:])
}

// The vectors of NIST's ACVP for TLS-v1.3-KDF-RFC8446, group 1 with SHA-256: a PSK
// together with (EC)DHE.
func TestVectorsOfACVP(t *testing.T) {
	unhex := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var s Scratch
	var k Schedule
	transcript := sha256.New()
	check := func(label, want string) {
		t.Helper()
		var got [32]byte
		k.Derive(&s, got[:], label, transcript.Sum(nil))
		if !bytes.Equal(got[:], unhex(want)) {
			t.Errorf("%s: got %x, want %s", label, got, want)
		}
	}
	k.Start(&s, primitive.SHA256,
		unhex("56288b726c73829f7a3e47b103837c8139acf552e7530c7a710b35ed41191698"))
	transcript.Write(unhex("e9137679e582ba7c1db41cf725f86c6d09c8c05f297bad9a65b552eaf524fde4"))
	check("c e traffic", "3272189698c3594d18f58efa3f12b638a249515099be7a2fa9836babe74f0111")
	check("e exp master", "88e078f562cdc930219f6a5e98a1ce8c6e5f3dac5ac516459a96f2ef8f114c66")
	k.Next(&s, unhex("effe9ec26aa29fd750dfa6a10b944d74071595b27ee88887d5e11c84590b5cc3"))
	transcript.Write(unhex("23eccfd030790748c8f8d8a656fd98d717f1b62af3712f97211d2070b499f98a"))
	check("c hs traffic", "b32306c3ce9932c460a1fe6c0f060593974842036b96fa45049b7352e71c2ad2")
	check("s hs traffic", "22787f8ca269d34bc549ac8ba19f2040938a3aa370d7cc9d60f720882b88d01b")
	k.Next(&s, nil)
	transcript.Write(unhex("c750eda6696cd101b142bd79e00e6ac8c5f2c0abc78dd64f4d991326659e9299"))
	check("c ap traffic", "47d7ea08397b5871154b0fe85584bcc30a87c69e84d69b56007c5b21f76493ba")
	check("s ap traffic", "efbdb0c873c0480da57307083839a8984be25b9a8545e4fca029940fe2800565")
	check("exp master", "8a43d787ee3804ead4a2a5b32972f9896b696295645d7222e1fd081ddd939834")
	transcript.Write(unhex("62a62fa75563ed4fdcaa0bc16567b314871c304acf06b0ffc3f08c1797594d43"))
	check("res master", "5f4c961329c91044011acbecb0b289282e0e3fed045cb3ea924dffe5fe654b3d")
}
