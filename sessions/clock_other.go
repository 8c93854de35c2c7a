//go:build !linux

package sessions

import "time"

// sleepClocks go on while the process's clock stands still: here the wall clock.
type sleepClocks [2]time.Duration

func (s *sleepClocks) read() { s[0] = time.Duration(time.Now().UnixNano()) }
