package cache_test

import (
	"fmt"
	"time"

	"reprise/cache"
)

func Example() {
	sessions, err := cache.New(cache.Options{Name: "ssl", Items: 20_000, KeyLen: 128, BlockLen: 4096})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sessions.Close()

	start := time.Now()
	now := func() int64 { return int64(time.Since(start)) } // a clock that never goes back
	handle := []byte("0123456789abcdef")
	const local = 1 // a tag: this session was made here

	fmt.Println(sessions.Put(handle, []byte("session state"),
		cache.Entry{Tag: local, Expires: now() + int64(300*time.Second)}, now()))

	// Single use: reserve, and consume when the handshake has succeeded.
	until := now() + int64(10*time.Second)
	state, entry, outcome := sessions.Hold(nil, handle, now(),
		cache.Hold{ID: uint64(until), Until: until})
	fmt.Printf("%v: %s, tag %d\n", outcome, state, entry.Tag)
	_, _, outcome = sessions.AppendGet(nil, handle, now())
	fmt.Println(outcome)
	fmt.Println(sessions.Spend(handle, uint64(until), now(), entry.Expires))
	_, _, outcome = sessions.AppendGet(nil, handle, now())
	fmt.Println(outcome)

	st := sessions.Stats()
	fmt.Println(st.Items, st.Hits, st.Miss)
	// Output:
	// stored
	// hit: session state, tag 1
	// held
	// hit
	// spent
	// 0 1 2
}
