package engine

// A flowList holds flows in order of arrival. A flow is in at most one.
type flowList struct {
	first, last *flow
	len         int
}

func (l *flowList) push(f *flow) {
	if f.prev = l.last; f.prev != nil {
		f.prev.next = f
	} else {
		l.first = f
	}
	l.last = f
	l.len++
}

func (l *flowList) remove(f *flow) {
	if f.prev == nil && l.first != f {
		return // not in the list
	}
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		l.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		l.last = f.prev
	}
	f.prev, f.next = nil, nil
	l.len--
}
