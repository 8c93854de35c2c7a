package backend

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// CheckKind is what a node has to do to pass a check.
type CheckKind uint8

const (
	CheckTCP CheckKind = iota // accept a connection
	// complete a TLS handshake; a node with Spec.TLS must do so for every kind
	CheckTLS
	CheckHTTP // answer GET with 2xx or 3xx; a uwsgi node: accept a connection
)

// A Check is how the health of nodes is checked. Zero fields mean the defaults given beside them.
type Check struct {
	Kind       CheckKind
	Path, Host string // of CheckHTTP: "/", and the node's address
	// sent first, except to uwsgi and h2c nodes: the PROXY header of a connection of our own
	Preface    []byte
	ServerName string        // of CheckTLS: the node's DNS name, if it has one
	Interval   time.Duration // between the checks of a node: 2 s
	Timeout    time.Duration // of one check: 1 s
	// consecutive successes that mark a node up: 2; failures that mark it down: 3
	Rise, Fall int
}

// maxCheckAnswer bounds the heads that a check reads, in bytes.
const maxCheckAnswer = 16 << 10

// StartChecks checks all nodes until stop is called. A node that is down is never picked, even when
// all are down; checks of it go on. Nodes count as up at the start, and again after stop, since no
// check would find out.
func (p *Pool) StartChecks(c Check) (stop func()) {
	p.SetChecks(&c)
	return func() { p.SetChecks(nil) }
}

// SetChecks replaces the running checks and keeps their results; nil ends them.
func (p *Pool) SetChecks(c *Check) {
	p.checking.Lock()
	defer p.checking.Unlock()
	if p.checks != nil {
		p.checks()
	}
	if p.checks = nil; c != nil {
		p.checks = p.startChecks(*c)
		return
	}
	for _, n := range p.Nodes() {
		n.setFlag(flagDown, false)
	}
}

func (p *Pool) startChecks(c Check) (stop func()) {
	c.Path = cmp.Or(c.Path, "/")
	c.Interval, c.Timeout = cmp.Or(c.Interval, 2*time.Second), cmp.Or(c.Timeout, time.Second)
	c.Rise, c.Fall = cmp.Or(c.Rise, 2), cmp.Or(c.Fall, 3)
	return p.watch(c.Interval, func(n *Node) func(context.Context) {
		return (&checker{Check: c, node: n}).step
	})
}

// A checker checks one node.
type checker struct {
	Check
	node   *Node
	cursor Cursor // cycles through all addresses of a name
	streak int    // consecutive results that contradict the node's state
	passes int    // consecutive, while its grace has not ended
}

func (k *checker) step(ctx context.Context) {
	err := k.ask(ctx)
	if ctx.Err() != nil {
		return // stopped: there is no result
	}
	k.node.checks.Inc()
	if err != nil {
		k.node.checksFailed.Inc()
	}
	k.note(err)
}

// note changes the node's state after enough results that contradict it.
func (k *checker) note(err error) {
	n := k.node
	down := n.flags.Load()&flagDown != 0
	if down == (err != nil) {
		k.streak = 0
		if !down {
			k.endGrace()
		}
		return
	}
	k.passes = 0
	k.streak++
	switch {
	case !down && k.streak >= k.Fall:
		n.setFlag(flagDown, true)
		slog.Warn("backend is down", "backend", n.Name(), "error", err)
	case down && k.streak >= k.Rise:
		n.failedAt.Store(0) // failures from before it went down no longer count
		n.setFlag(flagDown, false)
		slog.Info("backend is up", "backend", n.Name())
	default:
		return
	}
	k.streak = 0
}

// endGrace makes a node usable again that failed a client without having been down, once it has
// passed often enough.
func (k *checker) endGrace() {
	if k.node.failedAt.Load() == 0 {
		k.passes = 0
		return
	}
	if k.passes++; k.passes >= k.Rise {
		k.passes = 0
		k.node.Answered()
	}
}

func (k *checker) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	address := k.node.Path()
	if k.node.Network() != "unix" {
		endpoint, ok := k.node.Endpoint(&k.cursor)
		if !ok {
			return errors.New("its name has no address yet")
		}
		address = endpoint.String()
	}
	conn, err := new(net.Dialer).DialContext(ctx, k.node.Network(), address)
	if err != nil {
		return err
	}
	raw := conn
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()
	if k.node.Protocol() != UWSGI && k.node.Protocol() != H2C {
		if _, err := conn.Write(k.Preface); err != nil {
			return err
		}
	}
	if c := k.node.TLS(); c != nil {
		// A node with which no TLS can be made is of no use, whatever the check.
		if conn, err = c.Probe(ctx, conn); err != nil {
			return err
		}
	}
	switch {
	case k.Kind == CheckTLS && k.node.TLS() != nil:
	case k.Kind == CheckTLS:
		return k.handshake(ctx, conn)
	case k.Kind == CheckHTTP && k.node.Protocol() == H2C:
		return k.getByHTTP2(conn)
	case k.Kind == CheckHTTP && k.node.Protocol() != UWSGI:
		return k.get(conn)
	}
	return nil
}

// handshake completes a TLS handshake with a node that is spoken to without TLS: the TLS of clients
// passes through to it. It does not verify the certificate: backends often have self-signed ones,
// nothing is sent here, and the only question is whether the service is alive.
func (k *checker) handshake(ctx context.Context, conn net.Conn) error {
	return tls.Client(conn, &tls.Config{
		ServerName: cmp.Or(k.ServerName, k.node.host), InsecureSkipVerify: true,
	}).HandshakeContext(ctx)
}

// get makes a request and looks only at the status.
func (k *checker) get(conn net.Conn) error {
	_, err := fmt.Fprintf(conn,
		"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: reprise-check\r\nConnection: close\r\n\r\n",
		k.Path, k.host())
	if err != nil {
		return err
	}
	status, err := readStatus(bufio.NewReader(io.LimitReader(conn, maxCheckAnswer)))
	if err == nil {
		err = k.judge(status)
	}
	return err
}

// host returns the Host field's value for a request.
func (k *checker) host() string {
	if k.Host == "" && k.node.Network() == "unix" {
		return "localhost"
	}
	return cmp.Or(k.Host, k.node.spec.Address)
}

// readStatus returns the status of the final response, skipping interim ones (RFC 9110, Section
// 15.2).
func readStatus(r *bufio.Reader) (int, error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		status, err := parseStatusLine(strings.TrimRight(line, "\r\n"))
		if err != nil || status >= 200 {
			return status, err
		}
		for line != "\r\n" && line != "\n" {
			if line, err = r.ReadString('\n'); err != nil {
				return 0, err
			}
		}
	}
}

// parseStatusLine reads a status line (RFC 9112, Section 4): HTTP-version SP status-code SP
// [reason-phrase]. Many servers omit the last space.
func parseStatusLine(line string) (int, error) {
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.ParseUint(code, 10, 16)
	if (version != "HTTP/1.1" && version != "HTTP/1.0") || len(code) != 3 || err != nil ||
		status < 100 {
		return 0, fmt.Errorf("it answers %.40q, which is not HTTP", line)
	}
	return int(status), nil
}
