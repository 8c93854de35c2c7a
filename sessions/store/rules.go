package store

import (
	"context"
	"errors"
	"time"
)

const (
	// rulesEvery is the interval at which the rules of other nodes are read.
	rulesEvery = time.Second
	// rulesTrusted is how old the last reading may be. After that the store is not asked for
	// sessions.
	rulesTrusted = 10 * time.Second
)

var (
	errClosed = errors.New("closed")
	errAlone  = errors.New("the session store does not answer")
)

// Sync writes the rules that the server lacks and reads those of other nodes, at once rather than
// in the next second. done, if not nil, is called once, on a goroutine of the store: with nil if
// the server has them all now.
func (s *Store) Sync(done func(error)) {
	switch {
	case s.options.Rules == nil:
		if done != nil {
			go done(nil)
		}
		return
	case !s.breaker.allows():
		if done != nil {
			go done(errAlone)
		}
		return
	}
	if done != nil {
		s.syncing.Lock()
		s.waiting = append(s.waiting, done)
		s.syncing.Unlock()
	}
	select {
	case s.wantSync <- struct{}{}:
	default: // a sync is pending already
	}
	if s.ctx.Err() != nil {
		s.ended(errClosed)
	}
}

// ended calls the waiting functions.
func (s *Store) ended(err error) {
	s.syncing.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.syncing.Unlock()
	for _, done := range waiting {
		done(err)
	}
}

// keepRules reads and writes the rules until Close.
func (s *Store) keepRules() {
	if s.options.Rules == nil {
		return
	}
	ticker := time.NewTicker(rulesEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		case <-s.wantSync:
		}
		if !s.breaker.allows() { // its probe reads them
			s.ended(errAlone)
			continue
		}
		s.syncing.Lock()
		waiting := s.waiting // later callers have rules that this round may not see
		s.waiting = nil
		s.syncing.Unlock()
		ctx, cancel := context.WithTimeout(s.ctx, writeTimeout)
		err := s.syncRules(ctx)
		cancel()
		switch {
		case err == nil:
			s.breaker.succeeded()
		case refused(err):
			s.log("refuses the rules to forget: " + s.cause(err))
		default:
			s.failed(err)
		}
		for _, done := range waiting {
			done(err)
		}
	}
}

// syncRules reads the rules under each live secret, and writes all that this node knows if those
// under the first one lack some: only in place of the value it has read, so that a concurrent write
// of another node is not lost. An error that is the server's answer concerns the writing: the rules
// were read.
func (s *Store) syncRules(ctx context.Context) error {
	if s.options.Rules == nil {
		return nil
	}
	for {
		lacks, stored, seal, err := s.readRules(ctx)
		if err != nil || !lacks {
			return err
		}
		rules, left := s.options.Rules.AppendRules(nil)
		if left < time.Millisecond {
			return nil
		}
		sealed := seal.sealFor(rulesPurpose, session{state: rules, left: left, written: time.Now()})
		swapped, err := s.server.swap(ctx, seal.nameOf(s.options.Prefix, rulesPurpose), stored,
			sealed, left)
		if swapped || err != nil {
			return err
		}
		// Each failure means that another node has written: one of them makes progress.
	}
}

// readRules takes the server's rules and reports whether those under the first secret lack some.
// stored is the value under that one.
func (s *Store) readRules(
	ctx context.Context,
) (lacks bool, stored []byte, seal *secret, err error) {
	secrets := *s.secrets.Load()
	// the first one last: it must have what the others have
	for i := len(secrets) - 1; i >= 0; i-- {
		var told time.Duration
		seal = secrets[i]
		if stored, told, err = s.server.get(ctx,
			seal.nameOf(s.options.Prefix, rulesPurpose)); err != nil {
			return false, nil, nil, err
		}
		var rules []byte
		var elapsed time.Duration
		if stored != nil {
			if found, ok := seal.openFor(rulesPurpose, stored); ok {
				rules, elapsed = found.state, found.elapsedAtLeast(time.Now(), told)
			} else {
				s.counts.NotAuthentic.Inc()
			}
		}
		lacks = s.options.Rules.MergeRules(rules, elapsed)
	}
	s.synced.Store(int64(time.Since(began)))
	return lacks, stored, seal, nil
}

// began is the origin of synced.
var began = time.Now()

// rulesCurrent reports whether the rules were read recently enough.
func (s *Store) rulesCurrent() bool {
	return s.options.Rules == nil || time.Since(began)-time.Duration(s.synced.Load()) < rulesTrusted
}
