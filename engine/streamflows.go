package engine

// maxStreamFlows bounds the structures kept for streams to come.
const maxStreamFlows = 512

// streamFlows are the flows of streams that are over. The next streams get them: to make new
// ones and to collect them was a sixth of what a request costs beside system calls.
//
// One that has ended may still be in use by what has ended it, so it is free when the round
// is over. It is not in left then: goOnLater takes none that is gone.
type streamFlows struct {
	ended, free []streamFlow
}

type streamFlow struct {
	flow *flow
	http *requests
}

// newStreamFlow returns an empty flow with an empty http.
func (l *loop) newStreamFlow() *flow {
	s := &l.streamFlows
	if n := len(s.free); n > 0 {
		f := s.free[n-1].flow
		f.http = s.free[n-1].http
		s.free = s.free[:n-1]
		return f
	}
	return &flow{http: new(requests)}
}

// leave takes a flow of a stream that is gone, and in no queue.
func (s *streamFlows) leave(f *flow) {
	if f.http != nil && len(s.ended)+len(s.free) < maxStreamFlows {
		s.ended = append(s.ended, streamFlow{f, f.http})
	}
}

// renew empties those that ended before. No turn is under way.
func (s *streamFlows) renew() {
	for i, e := range s.ended {
		*e.flow, *e.http = flow{}, requests{}
		s.free = append(s.free, e)
		s.ended[i] = streamFlow{}
	}
	s.ended = s.ended[:0]
}
