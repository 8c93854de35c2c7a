package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"reprise/cache"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/sessions/peering"
	"reprise/tlsconn"
)

const (
	// fillStep is how many sessions are told at once: fewer than rings and sockets hold.
	fillStep = 20_000
	// fillValueLen is how long a session of TLS 1.3 without a client certificate is.
	fillValueLen = tlsconn.StatePrefixLen + 66
	fillLife     = time.Hour
	// fillPatience is how long a step may take to arrive.
	fillPatience = 20 * time.Second
)

// fill has each node of s hold about n sessions, which no client has: those that it lacks
// are told by a node of ours.
func (b *bench) fill(ctx context.Context, s *server, n int) error {
	// A lost datagram is repaired, or not, later, and a cache's stripes are not equally full.
	enough := n * 99 / 100
	if items, err := s.fewestItems(); err != nil || items >= enough {
		return err
	}
	f, err := b.newFiller(s)
	if err != nil {
		return err
	}
	defer f.close()
	value := tlsconn.AppendStatePrefix(nil, 1, 1, tlsconn.CodecOwn)
	value = append(value, make([]byte, fillValueLen-len(value))...)
	for told := 0; told < n; told += fillStep {
		now := f.memory.Now()
		for i := told; i < min(told+fillStep, n); i++ {
			var key tlsconn.Key
			sessionKey((*[16]byte)(&key), i)
			f.memory.Save(key, tlsconn.Session{State: value, Born: now, Expires: now.Add(fillLife)})
		}
		if err := s.awaitItems(ctx, told); err != nil {
			return err
		}
	}
	return s.awaitItems(ctx, enough)
}

// A filler is a node of ours in the fleet of a server.
type filler struct {
	cache  *cache.Cache
	memory *sessions.Memory
	poller *replicate.Poller
}

// newFiller returns once all nodes of s believe it.
func (b *bench) newFiller(s *server) (*filler, error) {
	f := &filler{}
	var err error
	f.cache, err = cache.New(cache.Options{
		Name: "filler", Items: 4 * fillStep, KeyLen: 16, BlockLen: 256,
	})
	if err != nil {
		return nil, err
	}
	id := replicate.NewID()
	f.memory = sessions.New(sessions.Options{
		Cache: f.cache, Lifetime: fillLife, Hold: time.Minute, Self: tlsconn.NodeID(id.Short()),
		MaxLookups: 1,
	})
	if f.poller, err = b.fillerPoller(s, id, peering.Memory(f.memory)); err != nil {
		return nil, errors.Join(err, f.cache.Close())
	}
	f.memory.Connect(peering.New(f.poller, false))
	f.poller.Start()
	if err := s.awaitMembers(len(s.nodes)); err != nil { // itself among the others of each
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// fillerPoller tells all nodes of s of what m has. Their secret is their certificate's key.
func (b *bench) fillerPoller(s *server, id replicate.ID,
	m replicate.Memory,
) (*replicate.Poller, error) {
	key, err := x509.MarshalPKCS8PrivateKey(b.ecdsa.TLS.PrivateKey)
	if err != nil {
		return nil, err
	}
	secret, err := replicate.NewSecret(key)
	if err != nil {
		return nil, err
	}
	listen, err := netip.ParseAddrPort(s.filler)
	if err != nil {
		return nil, fmt.Errorf("no address for a node of ours: %w", err)
	}
	network := replicate.Network{Listen: []netip.AddrPort{listen}, BufferLen: 8 << 20}
	for _, member := range s.members[:len(s.nodes)] {
		network.Peers = append(network.Peers, netip.MustParseAddrPort(member))
	}
	return replicate.NewPoller(
		replicate.PollerOptions{Network: network, RingLen: 4 * fillStep},
		replicate.Options{
			ID: id, Secrets: []replicate.Secret{secret}, Mode: replicate.Push,
			DatagramLen: 1200, Heartbeat: time.Second, DeadAfter: 10 * time.Second,
			LookupTimeout: time.Second, MaxQuestions: 1, SnapshotRate: 1 << 20,
			HoldFor: time.Minute, KnownFor: fillLife,
		}, m)
}

func (f *filler) close() error { return errors.Join(f.poller.Close(), f.cache.Close()) }

// fewestItems is how many sessions the node has that has the fewest.
func (s *server) fewestItems() (fewest int, err error) {
	for i := range s.nodes {
		st, err := readStats(s.stats[i])
		if err != nil {
			return 0, err
		}
		if i == 0 || st.cache().Items < fewest {
			fewest = st.cache().Items
		}
	}
	return fewest, nil
}

// awaitItems waits until each node has n sessions.
func (s *server) awaitItems(ctx context.Context, n int) error {
	for deadline := time.Now().Add(fillPatience); ; {
		items, err := s.fewestItems()
		if err != nil || items >= n {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a node has %d of %d sessions", items, n)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
