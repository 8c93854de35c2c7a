package store

import (
	"context"
	"net"
	"strconv"
	"time"

	"reprise/internal/storeurl"

	"github.com/redis/rueidis"
)

// redis is a Redis or Valkey server, or with several hosts a Redis Cluster.
type redis struct {
	options rueidis.ClientOption
	client  rueidis.Client // nil before the first successful connect
}

func newRedis(l storeurl.Location) *redis {
	return &redis{options: rueidis.ClientOption{
		InitAddress:       l.Hosts,
		ForceSingleClient: len(l.Hosts) == 1,
		TLSConfig:         l.TLS,
		Username:          l.User,
		Password:          l.Password,
		SelectDB:          l.DB,
		Dialer:            net.Dialer{Timeout: writeTimeout},
		// A connection that is silent for so long is closed.
		ConnWriteTimeout: writeTimeout,
		// One connection for each server: a probe then tests the one that look-ups will use. A late
		// look-up must not cost the connection, so everything goes through the pipeline.
		PipelineMultiplex:   -1,
		AlwaysPipelining:    true,
		ReadBufferEachConn:  64 << 10,
		WriteBufferEachConn: 64 << 10,
		DisableRetry:        true, // the breaker decides when to try again
		DisableCache:        true, // no client-side caching, which needs more rights
		ClientSetInfo:       rueidis.DisableClientSetInfo,
	}}
}

func (r *redis) connect() error {
	if r.client != nil {
		return nil // it reconnects by itself
	}
	client, err := rueidis.NewClient(r.options)
	if err == nil {
		r.client = client
	}
	return err
}

func (r *redis) get(ctx context.Context, name string) ([]byte, time.Duration, error) {
	b := r.client.B()
	answers := r.client.DoMulti(ctx, b.Get().Key(name).Build(), b.Pttl().Key(name).Build())
	value, err := answers[0].AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	left, err := answers[1].AsInt64()
	if err != nil {
		return nil, 0, err
	}
	// Negative: it has expired meanwhile, or another client has removed its expiry.
	return value, time.Duration(max(left, 0)) * time.Millisecond, nil
}

func (r *redis) set(ctx context.Context, name string, value []byte, lifetime time.Duration) error {
	return r.client.Do(ctx, r.client.B().Set().Key(name).Value(rueidis.BinaryString(value)).
		PxMilliseconds(lifetime.Milliseconds()).Build()).Error()
}

// The server runs swapScript as one step. Unlike WATCH, a script needs no connection of its own.
const swapScript = `if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

func (r *redis) swap(ctx context.Context, name string, old, value []byte,
	left time.Duration,
) (bool, error) {
	// Stored values are never empty, so "" stands for none.
	return r.client.Do(ctx, r.client.B().Eval().Script(swapScript).Numkeys(1).Key(name).
		Arg(rueidis.BinaryString(old), rueidis.BinaryString(value),
			strconv.FormatInt(left.Milliseconds(), 10)).
		Build()).AsBool()
}

func (r *redis) remove(ctx context.Context, name string) error {
	return r.client.Do(ctx, r.client.B().Del().Key(name).Build()).Error()
}

func (r *redis) close() {
	if r.client != nil {
		r.client.Close()
	}
}
