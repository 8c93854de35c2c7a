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
	CheckTCP CheckKind = iota // take a connection
	// complete a TLS handshake, which one with Spec.TLS must do for each kind
	CheckTLS
	CheckHTTP // answer GET with 2xx or 3xx; a uwsgi node: take a connection
)

// A Check is how nodes are asked whether they are well. Zero fields have the
// defaults named with them.
type Check struct {
	Kind       CheckKind
	Path, Host string // of CheckHTTP: "/", and the node's address
	// sent first, except to uwsgi and h2c nodes: the PROXY header of a connection of our own
	Preface    []byte
	ServerName string        // of CheckTLS: the node's DNS name, if it has one
	Interval   time.Duration // between the checks of a node: 2 s
	Timeout    time.Duration // of one check: 1 s
	// successes in a row that make a node well: 2; failures that make it down: 3
	Rise, Fall int
}

// maxCheckAnswer bounds the heads that a check reads, in bytes.
const maxCheckAnswer = 16 << 10

// StartChecks asks all nodes whether they are well until stop is called. A node that
// is down is not picked, not even when all are; it is asked on. Nodes count as
// well in the beginning, and again after stop, when nobody would find out.
func (p *Pool) StartChecks(c Check) (stop func()) {
	p.SetChecks(&c)
	return func() { p.SetChecks(nil) }
}

// SetChecks puts other checks in place of those under way, and keeps what they have found; nil ends
// them.
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

// A checker asks one node.
type checker struct {
	Check
	node   *Node
	cursor Cursor // so that all addresses of a name are asked in turn
	streak int    // results in a row that speak against the node's state
	passes int    // in a row, while its grace has not ended
}

func (k *checker) step(ctx context.Context) {
	err := k.ask(ctx)
	if ctx.Err() != nil {
		return // stopped: nothing was learnt
	}
	k.node.checks.Inc()
	if err != nil {
		k.node.checksFailed.Inc()
	}
	k.note(err)
}

// note changes the node's state when enough results have said so.
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
		n.failedAt.Store(0) // what failed before it went down is history
		n.setFlag(flagDown, false)
		slog.Info("backend is up", "backend", n.Name())
	default:
		return
	}
	k.streak = 0
}

// endGrace takes a node that failed a client, but was never down, into use again
// when it has passed often enough.
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
		// A node without a TLS that we accept is of no use, whatever is checked.
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

// handshake completes a TLS handshake with a node that is spoken to without TLS: what passes
// through to it is TLS of clients. It does not verify whose: backends often have certificates of
// their own making, nothing is sent to them here, and the question is only whether the service is
// alive.
func (k *checker) handshake(ctx context.Context, conn net.Conn) error {
	return tls.Client(conn, &tls.Config{
		ServerName: cmp.Or(k.ServerName, k.node.host), InsecureSkipVerify: true,
	}).HandshakeContext(ctx)
}

// get makes a request and looks at the status only.
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

// host is the Host of a request.
func (k *checker) host() string {
	if k.Host == "" && k.node.Network() == "unix" {
		return "localhost"
	}
	return cmp.Or(k.Host, k.node.spec.Address)
}

// readStatus returns the status of the final response, which interim ones may come before (RFC
// 9110, Section 15.2).
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

// parseStatusLine reads RFC 9112, Section 4: HTTP-version SP status-code SP
// [reason-phrase]. Many servers leave out the last space.
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
