package primitive

import "testing"

func TestSelfCheck(t *testing.T) {
	if err := SelfCheck(); err != nil {
		t.Fatal(err)
	}
	if got, want := fastX25519.Load(), x25519Pays(); got != want {
		t.Errorf("circl serves X25519: %v, want %v", got, want)
	}
	if got, want := fastMLKEM.Load(), mlkemPays(); got != want {
		t.Errorf("circl serves ML-KEM: %v, want %v", got, want)
	}
}
