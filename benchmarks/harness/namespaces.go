package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"reprise/benchmarks/peers"
)

// errNoNamespaces says that this machine, or our rights there, have none.
var errNoNamespaces = errors.New("network namespaces cannot be made here")

// namespaces are network namespaces of this machine, which a bridge joins: a network between
// nodes that is not loopback. Their addresses are of the range for benchmarks (RFC 2544).
type namespaces struct {
	bridge string
	names  []string
}

// newNamespaces makes n of them. If it fails it leaves nothing behind.
func newNamespaces(n int) (_ *namespaces, err error) {
	s := &namespaces{bridge: fmt.Sprintf("rb%d", os.Getpid())}
	if err := ip("link", "add", s.bridge, "type", "bridge"); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoNamespaces, err)
	}
	defer func() {
		if err != nil {
			s.close()
			err = fmt.Errorf("%w: %w", errNoNamespaces, err)
		}
	}()
	for _, args := range []string{
		"addr add " + s.host(0) + "/24 dev " + s.bridge,
		"link set " + s.bridge + " up",
	} {
		if err := ip(strings.Fields(args)...); err != nil {
			return nil, err
		}
	}
	for range n {
		if err := s.add(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// add makes one more and joins it to the others.
func (s *namespaces) add() error {
	name := fmt.Sprintf("%sn%d", s.bridge, len(s.names))
	if err := ip("netns", "add", name); err != nil {
		return err
	}
	s.names = append(s.names, name)
	for _, args := range []string{
		"link add " + name + " type veth peer name eth0 netns " + name,
		"link set " + name + " master " + s.bridge + " up",
		"-n " + name + " addr add " + s.host(len(s.names)) + "/24 dev eth0",
		"-n " + name + " link set eth0 up",
		"-n " + name + " link set lo up",
	} {
		if err := ip(strings.Fields(args)...); err != nil {
			return err
		}
	}
	return nil
}

// close removes all that was made. What a namespace has goes with it.
func (s *namespaces) close() {
	for _, name := range s.names {
		_ = ip("link", "del", name)
		_ = ip("netns", "del", name)
	}
	_ = ip("link", "del", s.bridge)
}

// host is the address of namespace i-1, or at 0 of the bridge: of this process.
func (s *namespaces) host(i int) string { return fmt.Sprintf("198.18.0.%d", 1+i) }

// enter is what makes a command run in namespace i.
func (s *namespaces) enter(i int) []string { return []string{"ip", "netns", "exec", s.names[i]} }

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// moveApart gives each node a network namespace of its own, and s a backend and a filler's
// address that can be reached from there.
func (b *bench) moveApart(s *server, all []peers.Settings) (err error) {
	if s.spaces, err = newNamespaces(len(all)); err != nil {
		return err
	}
	backend := s.spaces.host(0) + ":9000"
	s.filler = s.spaces.host(0) + ":7171"
	for i := range all {
		host, one := s.spaces.host(1+i), &all[i]
		one.Backend, one.Addr, one.Stats = backend, host+":8443", host+":5001"
		if one.Node != "" {
			one.Node = host + ":7171"
		}
	}
	if s.backend, err = b.startBackend(backend); err != nil {
		return err
	}
	return nil
}
