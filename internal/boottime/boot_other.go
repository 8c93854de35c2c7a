//go:build !linux

package boottime

import "time"

func readBoot() (time.Duration, bool) { return 0, false }
