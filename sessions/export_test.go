package sessions

import "time"

// Age is the part of a sweep that follows a sleep of the machine.
func (m *Memory) Age(slept time.Duration) { m.age(slept) }
