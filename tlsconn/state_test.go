package tlsconn

import "testing"

// A state is read by the engine whose codec it has.
func TestOpenState(t *testing.T) {
	name, context := NameHash("www.example.test"), ContextHash("shop")
	state := append(AppendStatePrefix(nil, name, context, CodecStandard), "body"...)
	if body, _, ok := OpenState(state, CodecStandard); !ok || string(body) != "body" {
		t.Errorf("got %q, %t", body, ok)
	}
	unknown := append([]byte(nil), state...)
	unknown[StatePrefixLen-1] = 99
	for what, test := range map[string]struct {
		state []byte
		codec Codec
		want  Outcome
	}{
		"the other engine's":  {state, CodecOwn, MissOtherEngine},
		"of an unknown codec": {unknown, CodecOwn, MissCorrupt},
		"cut short":           {state[:StatePrefixLen-1], CodecStandard, MissCorrupt},
		"empty":               {nil, CodecStandard, MissCorrupt},
	} {
		if _, miss, ok := OpenState(test.state, test.codec); ok || miss != test.want {
			t.Errorf("%s: got %v, %t, want %v", what, miss, ok, test.want)
		}
	}

	gotName, gotParent, gotContext, ok := StateHashes(state)
	if !ok || gotName != name || gotContext != context || gotParent != ParentHash("example.test") {
		t.Errorf("got %x, %x, %x, %t", gotName, gotParent, gotContext, ok)
	}
	if _, _, _, ok := StateHashes(state[:StatePrefixLen-1]); ok {
		t.Error("a state cut short says how it was made")
	}
}

// Names that clients may write for one host are one name.
func TestNameHash(t *testing.T) {
	want := NameHash("www.example.test")
	for _, name := range []string{"WWW.example.TEST", "www.example.test.", "www.example.test"} {
		if NameHash(name) != want {
			t.Errorf("%q: hashes unlike www.example.test", name)
		}
	}
	for _, name := range []string{"", ".", "example.test", "www.example.test.."} {
		if NameHash(name) == want {
			t.Errorf("%q: hashes like www.example.test", name)
		}
	}
}
