package acme

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/redis/rueidis"
	"golang.org/x/crypto/chacha20poly1305"
)

// A redis is a certmagic.Storage in Redis or Valkey. Values are sealed, since there are keys among
// them; the server sees their names and lengths.
//
//	reprise:acme:value:KEY   XChaCha20-Poly1305 over the time of writing and the value,
//	                         for KEY: nonce, 24 bytes, and the rest
//	reprise:acme:dir:KEY     a set: the names directly below KEY
//	reprise:acme:lock:NAME   the holder of the lock, for leaseTime
type redis struct {
	options rueidis.ClientOption
	seals   []cipher.AEAD // the first seals

	mu     sync.Mutex
	client rueidis.Client // nil before the first connection that succeeded
	locks  map[string]*lease
}

type lease struct {
	owner string
	stop  chan struct{}
}

const (
	valuePrefix = "reprise:acme:value:"
	dirPrefix   = "reprise:acme:dir:"
	lockPrefix  = "reprise:acme:lock:"

	leaseTime  = 30 * time.Second // a node that dies delays others for this long
	lockEvery  = 500 * time.Millisecond
	redisPause = 5 * time.Second // for an answer
)

var errDamaged = errors.New(
	"a value cannot be opened: do all nodes have the same cluster-secret-file?")

func openRedis(url string, secrets [][]byte) (*redis, error) {
	o, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	o.DisableCache, o.ClientSetInfo, o.ConnWriteTimeout = true, rueidis.DisableClientSetInfo,
		redisPause
	o.Dialer.Timeout = redisPause
	r := &redis{options: o, locks: make(map[string]*lease)}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "reprise acme storage",
			chacha20poly1305.KeySize)
		if err != nil {
			return nil, err
		}
		aead, err := chacha20poly1305.NewX(key)
		clear(key)
		if err != nil {
			return nil, err
		}
		r.seals = append(r.seals, aead)
	}
	if len(r.seals) == 0 {
		return nil, errors.New("there is no secret to seal keys with")
	}
	return r, nil
}

func (r *redis) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		r.client.Close()
	}
}

// connect returns the client, which connects again by itself once it has connected.
func (r *redis) connect() (rueidis.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	client, err := rueidis.NewClient(r.options)
	if err != nil {
		return nil, err
	}
	r.client = client
	return client, nil
}

// do runs a command.
func (r *redis) do(ctx context.Context,
	command func(rueidis.Builder) rueidis.Completed,
) (answer rueidis.RedisResult, err error) {
	client, err := r.connect()
	if err != nil {
		return answer, err
	}
	answer = client.Do(ctx, command(client.B()))
	return answer, answer.Error()
}

// Store implements certmagic.Storage.
func (r *redis) Store(ctx context.Context, key string, value []byte) error {
	return r.all(ctx, func(b rueidis.Builder) (commands rueidis.Commands) {
		commands = append(commands,
			b.Set().Key(valuePrefix+key).Value(rueidis.BinaryString(r.seal(key, value))).Build())
		for below := key; below != "." && below != "/"; below = path.Dir(below) {
			commands = append(commands,
				b.Sadd().Key(dirPrefix+path.Dir(below)).Member(below).Build())
		}
		return commands
	})
}

// all runs commands one after the other.
func (r *redis) all(ctx context.Context, commands func(rueidis.Builder) rueidis.Commands) error {
	client, err := r.connect()
	if err != nil {
		return err
	}
	var errs []error
	for _, answer := range client.DoMulti(ctx, commands(client.B())...) {
		errs = append(errs, answer.Error())
	}
	return errors.Join(errs...)
}

func (r *redis) seal(key string, value []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX,
		chacha20poly1305.NonceSizeX+8+len(value)+chacha20poly1305.Overhead)
	_, _ = rand.Read(nonce)
	plain := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	plain = append(plain, value...)
	defer clear(plain)
	return r.seals[0].Seal(nonce, nonce, plain, []byte(key))
}

func (r *redis) open(key string, sealed []byte) (value []byte, modified time.Time, err error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, modified, errDamaged
	}
	nonce, rest := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	for _, aead := range r.seals {
		if plain, err := aead.Open(nil, nonce, rest, []byte(key)); err == nil && len(plain) >= 8 {
			return plain[8:], time.Unix(0, int64(binary.BigEndian.Uint64(plain))), nil
		}
	}
	return nil, modified, errDamaged
}

func (r *redis) load(ctx context.Context, key string) ([]byte, time.Time, error) {
	answer, err := r.do(ctx,
		func(b rueidis.Builder) rueidis.Completed { return b.Get().Key(valuePrefix + key).Build() })
	if rueidis.IsRedisNil(err) {
		return nil, time.Time{}, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	sealed, err := answer.AsBytes()
	if err != nil {
		return nil, time.Time{}, err
	}
	return r.open(key, sealed)
}

// Load implements certmagic.Storage.
func (r *redis) Load(ctx context.Context, key string) ([]byte, error) {
	value, _, err := r.load(ctx, key)
	return value, err
}

// Delete implements certmagic.Storage: it deletes everything below key too.
func (r *redis) Delete(ctx context.Context, key string) error {
	keys, err := r.List(ctx, key, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.all(ctx, func(b rueidis.Builder) (commands rueidis.Commands) {
		for _, k := range append(keys, key) {
			commands = append(commands, b.Del().Key(valuePrefix+k).Build(),
				b.Del().Key(dirPrefix+k).Build())
		}
		return append(commands, b.Srem().Key(dirPrefix+path.Dir(key)).Member(key).Build())
	})
}

// Exists implements certmagic.Storage.
func (r *redis) Exists(ctx context.Context, key string) bool {
	for _, prefix := range []string{valuePrefix, dirPrefix} {
		answer, err := r.do(ctx,
			func(b rueidis.Builder) rueidis.Completed {
				return b.Exists().Key(prefix +
					key).Build()
			})
		if n, _ := answer.AsInt64(); err == nil && n > 0 {
			return true
		}
	}
	return false
}

// List implements certmagic.Storage.
func (r *redis) List(ctx context.Context, dir string, recursive bool) ([]string, error) {
	answer, err := r.do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Smembers().Key(dirPrefix + path.Clean(dir)).Build()
	})
	if err != nil {
		return nil, err
	}
	keys, err := answer.AsStrSlice()
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	if !recursive {
		return keys, nil
	}
	for _, key := range keys {
		below, err := r.List(ctx, key, true)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		keys = append(keys, below...)
	}
	return keys, nil
}

// Stat implements certmagic.Storage.
func (r *redis) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, modified, err := r.load(ctx, key)
	if errors.Is(err, fs.ErrNotExist) && r.Exists(ctx, key) {
		return certmagic.KeyInfo{Key: key}, nil // a directory
	}
	return certmagic.KeyInfo{
		Key: key, Modified: modified, Size: int64(len(value)),
		IsTerminal: true,
	}, err
}

// Lock implements certmagic.Locker. The lock of a node that has died expires.
func (r *redis) Lock(ctx context.Context, name string) error {
	for {
		taken, err := r.TryLock(ctx, name)
		if err != nil || taken {
			return err
		}
		select {
		case <-time.After(lockEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TryLock implements certmagic.TryLocker.
func (r *redis) TryLock(ctx context.Context, name string) (bool, error) {
	l := &lease{owner: rand.Text(), stop: make(chan struct{})}
	_, err := r.do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Set().Key(lockPrefix +
			name).Value(l.owner).Nx().PxMilliseconds(leaseTime.Milliseconds()).Build()
	})
	switch {
	case rueidis.IsRedisNil(err):
		return false, nil
	case err != nil:
		return false, err
	}
	r.mu.Lock()
	r.locks[name] = l
	r.mu.Unlock()
	go r.keep(name, l)
	return true, nil
}

// The server runs each as one step.
const (
	keepScript   = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`
	unlockScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`
)

// keep renews a lock until it is released.
func (r *redis) keep(name string, l *lease) {
	ticker := time.NewTicker(leaseTime / 3)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), redisPause)
		answer, err := r.do(ctx, func(b rueidis.Builder) rueidis.Completed {
			return b.Eval().Script(keepScript).Numkeys(1).Key(lockPrefix+name).Arg(l.owner,
				strconv.FormatInt(leaseTime.Milliseconds(), 10)).Build()
		})
		cancel()
		if kept, _ := answer.AsInt64(); err == nil && kept == 0 {
			slog.Warn("acme: a lock in the storage was lost", "name", name)
			return
		}
	}
}

// Unlock implements certmagic.Locker.
func (r *redis) Unlock(ctx context.Context, name string) error {
	r.mu.Lock()
	l := r.locks[name]
	delete(r.locks, name)
	r.mu.Unlock()
	if l == nil {
		return nil
	}
	close(l.stop)
	_, err := r.do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Eval().Script(unlockScript).Numkeys(1).Key(lockPrefix + name).Arg(l.owner).Build()
	})
	return err
}
