package store_test

import (
	"fmt"
	"time"

	"reprise/sessions/store"
)

// Example uses a store whose server is down: that costs sessions, and nothing else.
func Example() {
	s, err := store.Open("redis://eve:secret@127.0.0.1:1", store.Options{
		Secrets:       [][]byte{[]byte("32 random bytes, from a file....")},
		LookupTimeout: 5 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err) // unusable: for the operator
		return
	}
	defer s.Close()

	key := [16]byte{1}
	fmt.Println("will be stored:", s.Set(key, []byte("state"), 0, 5*time.Minute))
	asked := s.Get(key, func(state []byte, age, left time.Duration, ok bool) {
		fmt.Println("found:", ok)
	})
	fmt.Println("asked:", asked)
	fmt.Println("left alone:", s.Stats().BreakerOpen)
	// Output:
	// will be stored: false
	// asked: false
	// left alone: true
}
