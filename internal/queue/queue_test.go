package queue

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestQueueAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q Queue
	var want []byte
	next := byte(0)
	for range 20000 {
		if r.IntN(2) == 0 {
			p := make([]byte, r.IntN(300))
			for i := range p {
				p[i] = next
				next++
			}
			q.Push(p)
			want = append(want, p...)
		} else if len(want) > 0 {
			n := r.IntN(len(want)) + 1
			q.Pop(n)
			want = want[n:]
		}
		if q.Len() != len(want) || !bytes.Equal(q.Bytes(), want) {
			t.Fatalf("holds %d bytes, want %d, or others", q.Len(), len(want))
		}
		if len(want) == 0 && q.buf != nil {
			t.Fatal("an empty queue holds a buffer")
		}
	}
}

func TestPopOfNothing(t *testing.T) {
	var q Queue
	q.Pop(5)
	q.Push([]byte("abcdefgh"))
	if got := string(q.Bytes()); got != "abcdefgh" {
		t.Errorf("got %q", got)
	}
}
