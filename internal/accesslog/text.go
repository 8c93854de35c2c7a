package accesslog

import (
	"strconv"
	"time"
)

type text interface{ ~string | ~[]byte }

// maxText bounds a text in a line once it is escaped. With it a queue of 4,096 lines of the worst
// that clients can send takes less than 128 MiB.
const maxText = 4096

const ellipsis = "..."

const hex = "0123456789abcdef"

// plainLen returns how many bytes at the start of s, most at most, need no escape
// in any format.
func plainLen[T text](s T, most int) int {
	n := 0
	for n < min(len(s), most) && ' ' <= s[n] && s[n] <= '~' && s[n] != '"' && s[n] != '\\' {
		n++
	}
	return n
}

// appendSeconds appends d in seconds, to the microsecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0) // a negative duration would be written wrong
	b = strconv.AppendInt(b, us/1e6, 10)
	b = append(b, '.')
	for unit := int64(1e5); unit > 0; unit /= 10 {
		b = append(b, byte('0'+us/unit%10))
	}
	return b
}
