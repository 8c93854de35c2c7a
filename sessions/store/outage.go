package store

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/rueidis"
)

// failed tells the breaker about a request that failed.
func (s *Store) failed(err error) {
	if s.ctx.Err() == nil { // else Close cut it off
		s.breaker.failed(err)
	}
}

// refused reports whether err is a server's answer, and not the lack of one.
func refused(err error) bool {
	_, byRedis := rueidis.IsRedisErr(err)
	return byRedis || errors.Is(err, memcache.ErrServerError) ||
		errors.Is(err, memcache.ErrNotStored) ||
		strings.HasPrefix(err.Error(), "memcache: unexpected response line")
}

// changed tells the operator what became of the breaker.
func (s *Store) changed(err error) {
	if err != nil {
		s.say("is left alone for now, it failed: " + s.cause(err))
		return
	}
	s.saying.Lock()
	wasDown := s.said != ""
	s.saying.Unlock()
	if wasDown {
		s.say("answers again")
	}
}

// say logs a line about the server unless it is the same as the last one: an
// outage is one line, however often the server is tried meanwhile.
func (s *Store) say(line string) {
	s.saying.Lock()
	defer s.saying.Unlock()
	if line == s.said {
		return
	}
	s.said = line
	s.options.Log("session store " + s.location.String() + " " + line)
}

// cause puts err into a few words: without this side's port, which is another one
// each time, and without the password, which servers before Redis 6 quote when
// they do not understand HELLO.
func (s *Store) cause(err error) string {
	text := err.Error()
	var op *net.OpError
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		text = "no answer in time"
	case errors.As(err, &op):
		text = op.Op + ": " + op.Err.Error()
	}
	if s.location.Password != "" {
		text = strings.ReplaceAll(text, s.location.Password, "***")
	}
	return text
}
