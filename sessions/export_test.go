package sessions

import "time"

// Age is what a sweep does when it finds that the machine was asleep.
func (m *Memory) Age(slept time.Duration) { m.age(slept) }
