package engine

// maxStreamFlows bounds the structures kept for later streams.
const maxStreamFlows = 512

// streamFlows are the flows of ended streams, for reuse by later ones: making and collecting them
// was a sixth of a request's cost besides system calls.
//
// The code that has ended a flow may still be using it, so it is free when the round is over. It is
// not in left then: goOnLater takes no ended flow.
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

// leave takes an ended stream's flow that is in no queue.
func (s *streamFlows) leave(f *flow) {
	if f.http != nil && len(s.ended)+len(s.free) < maxStreamFlows {
		s.ended = append(s.ended, streamFlow{f, f.http})
	}
}

// renew empties those that ended before. No turn may be under way.
func (s *streamFlows) renew() {
	for i, e := range s.ended {
		*e.flow, *e.http = flow{}, requests{}
		s.free = append(s.free, e)
		s.ended[i] = streamFlow{}
	}
	s.ended = s.ended[:0]
}
