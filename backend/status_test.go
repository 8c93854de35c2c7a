package backend

import (
	"bufio"
	"bytes"
	"testing"
	"testing/iotest"
)

// Whatever a server answers, a status is final and has three digits, however the bytes arrive.
func FuzzReadStatus(f *testing.F) {
	f.Fuzz(func(t *testing.T, answer []byte) {
		status, err := readStatus(bufio.NewReader(bytes.NewReader(answer)))
		if err == nil && (status < 200 || status > 999) {
			t.Errorf("got status %d", status)
		}
		again, errAgain := readStatus(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(answer))))
		if again != status || (err == nil) != (errAgain == nil) {
			t.Errorf("got %d, %v at once and %d, %v byte by byte", status, err, again, errAgain)
		}
	})
}
