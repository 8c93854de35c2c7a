package store

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/rueidis"
)

// failed reports a failed request to the breaker.
func (s *Store) failed(err error) {
	if s.ctx.Err() == nil { // otherwise Close has ended it
		s.breaker.failed(err)
	}
}

// refused reports whether err is a server's answer rather than a missing one.
func refused(err error) bool {
	_, byRedis := rueidis.IsRedisErr(err)
	return byRedis || errors.Is(err, memcache.ErrServerError) ||
		errors.Is(err, memcache.ErrNotStored) ||
		strings.HasPrefix(err.Error(), "memcache: unexpected response line")
}

// changed logs the breaker's change.
func (s *Store) changed(err error) {
	if err != nil {
		s.log("is left alone for now, it failed: " + s.cause(err))
		return
	}
	s.logging.Lock()
	wasDown := s.logged != ""
	s.logging.Unlock()
	if wasDown {
		s.log("answers again")
	}
}

// log logs a line about the server unless it equals the last one: an outage is one line, however
// often the server is tried meanwhile.
func (s *Store) log(line string) {
	s.logging.Lock()
	defer s.logging.Unlock()
	if line == s.logged {
		return
	}
	s.logged = line
	s.options.Log("session store " + s.location.String() + " " + line)
}

// cause describes err in a few words: without this side's port, which varies, and without the
// password, which servers before Redis 6 quote when they do not understand HELLO.
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
