package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
	"reprise/internal/storeurl"
)

// Bounds and times that operators need not change.
const (
	readers     = 32 // look-ups in flight
	writers     = 8  // writes in flight
	lookupQueue = 1024
	// a session with a long client certificate chain has some KiB
	maxValueLen = 64 << 10
	// memcached takes a longer one for a date; TLS 1.3 allows seven days
	maxLifetime  = 30 * 24 * time.Hour
	writeTimeout = time.Second // also for connecting
	drainTimeout = time.Second // at Close
)

// Options configure a store. The zero value of each but Secrets means its default.
type Options struct {
	// the live cluster secrets, at least 16 bytes each; the first one seals. Not kept.
	Secrets         [][]byte
	LookupTimeout   time.Duration // time-out of a look-up; 10 ms
	WriteQueue      int           // bound on waiting writes; 4096
	BreakerFailures int           // consecutive failures after which the server is left alone; 5
	BreakerMinWait  time.Duration // for how long at first; 1 s, then doubled
	BreakerMaxWait  time.Duration // for how long at most; 30 s
	Prefix          string        // of all names; "reprise:"
	Rules           Rules         // kept beside the sessions; nil for none
	// called for outages, one line each, without credentials, on a goroutine of the store; nil to
	// log nothing
	Log func(line string)
}

// Rules are what the nodes have been told to forget: a small value that they keep together, in the
// store because sessions there outlive nodes. Its methods are called on goroutines of the store.
type Rules interface {
	// MergeRules takes the server's value, nil if it has none, written at least elapsed ago, and
	// reports whether that lacks something.
	MergeRules(stored []byte, elapsed time.Duration) (lacks bool)
	// AppendRules appends all rules to b, and returns how long they must be kept, 0 if there are
	// none.
	AppendRules(b []byte) (_ []byte, left time.Duration)
}

// A Store is a shared memory of sessions outside the fleet. Its methods may be called from any
// goroutine, and none but Close waits.
type Store struct {
	options  Options
	location storeurl.Location
	secrets  atomic.Pointer[[]*secret] // live ones, the first seals
	server   server
	breaker  *breaker

	mu      sync.RWMutex // shared while queueing, so that Close knows when the last is queued
	closed  bool
	lookups chan lookup
	writes  [writers]chan write // by session, so that each session's writes keep their order

	ctx     context.Context // ends when draining takes too long
	cancel  context.CancelFunc
	workers sync.WaitGroup
	prober  sync.WaitGroup
	counts  counts

	syncing  sync.Mutex
	waiting  []func(error) // callers that wait until the rules are written
	wantSync chan struct{} // room for one
	synced   atomic.Int64  // when the rules were last read, Unix nanoseconds by the monotonic clock

	logging sync.Mutex
	logged  string // the last line logged
}

type lookup struct {
	key    [16]byte
	asked  time.Time
	answer func(value []byte, age, left time.Duration, ok bool)
}

type write struct {
	key     [16]byte
	session session // its state is our copy
	remove  bool
}

// Open returns the store at url:
//
//	redis://[user:password@]host:port[/db]
//	rediss://[user:password@]host:port[/db][?ca=FILE]
//	memcached://host:port[,host:port...]
//
// Several hosts after redis or rediss are nodes of one Redis Cluster. With rediss the server's
// certificate is verified against the authorities in FILE, or else the system's. Open does not wait
// for the server, which may be down at that time. It fails if url or o cannot be used, with a line
// for the operator without credentials. The store must be closed.
func Open(url string, o Options) (*Store, error) {
	l, err := storeurl.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("session store: %w; %s", err, storeurl.Want)
	}
	if len(o.Secrets) == 0 {
		return nil, errors.New("session store: no cluster secret to seal sessions with")
	}
	secrets, err := newSecrets(o.Secrets)
	if err != nil {
		return nil, err
	}
	o.Secrets = nil
	o.LookupTimeout = cmp.Or(o.LookupTimeout, 10*time.Millisecond)
	o.WriteQueue = cmp.Or(o.WriteQueue, 4096)
	o.BreakerFailures = cmp.Or(o.BreakerFailures, 5)
	o.BreakerMinWait = cmp.Or(o.BreakerMinWait, time.Second)
	o.BreakerMaxWait = cmp.Or(o.BreakerMaxWait, 30*time.Second)
	o.Prefix = cmp.Or(o.Prefix, "reprise:")
	if o.Log == nil {
		o.Log = func(string) {}
	}
	return start(l, secrets, o, newServer(l, o.LookupTimeout)), nil
}

func newSecrets(raw [][]byte) (secrets []*secret, err error) {
	for _, b := range raw {
		secret, err := newSecret(b)
		if err != nil {
			return nil, fmt.Errorf("session store: %w", err)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// Rekey replaces the live secrets of a store in use: the first seals from now on. Values sealed
// under one that is not among them are no longer found. raw is not kept.
func (s *Store) Rekey(raw [][]byte) error {
	rekey, err := s.PrepareRekey(raw)
	if err == nil {
		rekey()
	}
	return err
}

// PrepareRekey is Rekey in two steps: the second, which replaces the secrets, cannot fail.
func (s *Store) PrepareRekey(raw [][]byte) (rekey func(), err error) {
	if len(raw) == 0 {
		return nil, errors.New("session store: no cluster secret to seal sessions with")
	}
	secrets, err := newSecrets(raw)
	if err != nil {
		return nil, err
	}
	return func() {
		old := s.secrets.Swap(&secrets)
		time.AfterFunc(retireAfter, func() { wipe(*old) }) // requests under way use them
		// the rules must be stored under the new one
		s.Sync(nil)
	}, nil
}

// retireAfter is longer than any request takes.
const retireAfter = 30 * time.Second

func wipe(secrets []*secret) {
	for _, secret := range secrets {
		secret.wipe()
	}
}

func start(l storeurl.Location, secrets []*secret, o Options, on server) *Store {
	s := &Store{location: l, options: o, server: on, wantSync: make(chan struct{}, 1)}
	s.secrets.Store(&secrets)
	s.synced.Store(-int64(2 * rulesTrusted))
	s.breaker = newBreaker(o.BreakerFailures, o.BreakerMinWait, o.BreakerMaxWait)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.lookups = make(chan lookup, lookupQueue)
	for range readers {
		s.workers.Go(s.read)
	}
	for i := range s.writes {
		s.writes[i] = make(chan write, (s.options.WriteQueue+writers-1)/writers)
		s.workers.Go(func() { s.write(s.writes[i]) })
	}
	s.prober.Go(func() { s.breaker.run(s.ctx, s.probe, s.changed) })
	s.prober.Go(s.keepRules)
	return s
}

// String is the URL without credentials.
func (s *Store) String() string { return s.location.String() }

// Set queues a copy of value for writing under key: a session of that age and remaining life. It
// returns false if it will not be written, because the queue is full, the server is left alone,
// value is longer than 64 KiB or left is less than a millisecond. True is not a guarantee: the
// outcome of the write is only counted.
func (s *Store) Set(key [16]byte, value []byte, age, left time.Duration) bool {
	if len(value) > maxValueLen || left < time.Millisecond {
		s.counts.SetDropped.Inc(invalid)
		return false
	}
	if !s.breaker.allows() { // before the copy is made
		s.counts.SetDropped.Inc(breakerOpen)
		return false
	}
	return s.enqueue(write{key: key, session: session{
		state:   append([]byte(nil), value...),
		age:     age,
		left:    min(left, maxLifetime),
		written: time.Now(),
	}})
}

// Delete queues the removal of the value under key, after earlier writes of it. It returns false if
// that will not happen, for the reasons of Set: the server then keeps the session until it expires.
func (s *Store) Delete(key [16]byte) bool {
	if !s.breaker.allows() {
		s.counts.SetDropped.Inc(breakerOpen)
		return false
	}
	return s.enqueue(write{key: key, remove: true})
}

func (s *Store) enqueue(w write) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		s.drop(w, closed)
		return false
	}
	select {
	case s.writes[w.key[0]%writers] <- w:
		return true
	default:
		s.drop(w, queueFull)
		return false
	}
}

// Get looks key up. It returns false if the look-up was not queued, because the queue is full or
// the server is left alone, and then never calls answer. Otherwise answer is called exactly once,
// on a goroutine of the store, which it must not hold up: with ok, the value, which answer owns,
// its age and its remaining life; or without ok after a miss, a failure or a time-out. That happens
// within Options.LookupTimeout or, if the queue is long, a little later. A store whose rules could
// not be read lately is not asked: it may have sessions that are to be forgotten.
func (s *Store) Get(key [16]byte, answer func(value []byte, age, left time.Duration,
	ok bool),
) bool {
	refused := &s.counts.GetRefused
	if !s.breaker.allows() {
		refused.Inc(breakerOpen)
		return false
	}
	if !s.rulesCurrent() {
		refused.Inc(rulesUnknown)
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		refused.Inc(closed)
		return false
	}
	select {
	case s.lookups <- lookup{key: key, asked: time.Now(), answer: answer}:
		s.counts.Gets.Inc()
		return true
	default:
		refused.Inc(queueFull)
		return false
	}
}

// Close writes the queue if the server takes it within a second, answers all look-ups, and closes
// the connections. With a server that hangs this takes about three seconds. Set, Get and Delete
// return false from then on. It may be called more than once.
func (s *Store) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.lookups)
	for _, queue := range s.writes {
		close(queue)
	}
	s.mu.Unlock()

	giveUp := time.AfterFunc(drainTimeout, s.cancel)
	s.workers.Wait()
	giveUp.Stop()
	s.cancel()
	s.prober.Wait()
	s.server.close()
	wipe(*s.secrets.Load())
	s.ended(errClosed)
}

// read serves look-ups until Close.
func (s *Store) read() {
	for l := range s.lookups {
		value, age, left, outcome := s.find(l)
		took := time.Since(l.asked)
		if took >= s.options.LookupTimeout {
			outcome = &s.counts.Late // found or not: the caller has most likely given up
		}
		outcome.Inc()
		s.counts.Latency.Observe(took)
		l.answer(value, age, left, value != nil)
	}
}

// find asks the server under the session's name with each live secret. It returns what it found, or
// nil, and the counter of that outcome.
func (s *Store) find(l lookup) (value []byte, age, left time.Duration, outcome *metric.Counter) {
	if !s.breaker.allows() { // it opened meanwhile
		return nil, 0, 0, &s.counts.Errors
	}
	ctx, cancel := context.WithDeadline(s.ctx, l.asked.Add(s.options.LookupTimeout))
	defer cancel()
	for _, secret := range *s.secrets.Load() {
		if ctx.Err() != nil { // the time passed in the queue, which is not the server's fault
			return nil, 0, 0, &s.counts.Errors
		}
		sealed, told, err := s.server.get(ctx, secret.name(s.options.Prefix, l.key))
		if err != nil {
			s.failed(err)
			return nil, 0, 0, &s.counts.Errors
		}
		s.breaker.succeeded()
		if sealed == nil {
			continue
		}
		found, ok := secret.open(l.key, sealed)
		if !ok {
			s.counts.NotAuthentic.Inc()
			continue
		}
		if age, left = found.at(time.Now(), told); left > 0 {
			return found.state, age, left, &s.counts.Hits
		}
		clear(found.state)
	}
	return nil, 0, 0, &s.counts.Misses
}

// write serves one queue of writes until Close.
func (s *Store) write(queue <-chan write) {
	for w := range queue {
		switch {
		case s.ctx.Err() != nil:
			s.drop(w, closed)
		case !s.breaker.allows():
			s.drop(w, breakerOpen)
		default:
			s.put(w)
		}
	}
}

// put makes one write. A server that refuses it may still answer look-ups: a replica, a full one,
// one that denies this user writes. So a refusal is reported to the operator and not to the
// breaker.
func (s *Store) put(w write) {
	defer clear(w.session.state)
	done, perform := &s.counts.Sets, s.set
	if w.remove {
		done, perform = &s.counts.Deletes, s.remove
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeTimeout)
	defer cancel()
	switch err := perform(ctx, w); {
	case err == nil:
		s.breaker.succeeded()
		done.Inc()
	case refused(err):
		s.counts.WriteErrors.Inc()
		s.log("refuses a write: " + s.cause(err))
	default:
		s.counts.WriteErrors.Inc()
		s.failed(err)
	}
}

func (s *Store) set(ctx context.Context, w write) error {
	// It has waited in the queue.
	now := time.Now()
	waited := max(now.Sub(w.session.written), 0)
	if w.session.age, w.session.left, w.session.written = w.session.age+waited,
		w.session.left-waited, now; w.session.left < time.Millisecond {
		return nil
	}
	seal := (*s.secrets.Load())[0]
	return s.server.set(ctx, seal.name(s.options.Prefix, w.key), seal.seal(w.key, w.session),
		w.session.left)
}

func (s *Store) remove(ctx context.Context, w write) error {
	for _, secret := range *s.secrets.Load() {
		if err := s.server.remove(ctx, secret.name(s.options.Prefix, w.key)); err != nil {
			return err
		}
	}
	return nil
}

// drop wipes a write that is not made.
func (s *Store) drop(w write, reason refusal) {
	s.counts.SetDropped.Inc(reason)
	clear(w.session.state)
}

// probe connects if need be, reads the rules, and then looks up a name that does not exist: a
// server that does not answer within a look-up's time-out is not worth asking.
func (s *Store) probe(ctx context.Context) error {
	if err := s.server.connect(); err != nil {
		return err
	}
	var key [16]byte
	_, _ = rand.Read(key[:])
	name := (*s.secrets.Load())[0].name(s.options.Prefix, key)
	ask := func(timeout time.Duration) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		_, _, err := s.server.get(ctx, name)
		return err
	}
	if err := ask(writeTimeout); err != nil { // this one may have to reconnect
		return err
	}
	syncing, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := s.syncRules(syncing); err != nil && !refused(err) {
		return err
	}
	return ask(s.options.LookupTimeout)
}
