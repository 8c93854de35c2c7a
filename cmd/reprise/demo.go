package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"reprise/config"
	"reprise/engine"
	"reprise/internal/asynclog"
	"reprise/internal/testpki"
	"reprise/node"
	"reprise/tlsconn"
)

// demoLen is how many nodes the demo runs.
const demoLen = 3

// demo runs three nodes that share their sessions, with a raw balancer in front and a backend
// behind, and prints what they do.
func demo(args []string, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "reprise-demo-")
	if err != nil {
		return node.RuntimeError{Err: err}
	}
	defer os.RemoveAll(dir)
	log := asynclog.New(stderr, node.LogLines)
	defer log.Close()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})))

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	backend, err := demoBackend()
	if err != nil {
		return node.RuntimeError{Err: err}
	}
	defer backend.Close()
	configs, err := demoConfigs(dir, backend.addr, args)
	if err != nil {
		return err
	}
	nodes, err := startDemo(configs, log)
	defer func() { err = errors.Join(err, endDemo(nodes)) }()
	if err != nil {
		return err
	}
	balancer, err := net.Listen("tcp", demoAddress("127.0.0.1:8443"))
	if err != nil {
		return node.RuntimeError{Err: err}
	}
	defer balancer.Close()
	go balance(balancer, nodes)

	fmt.Fprintf(stdout, demoText, balancer.Addr(), nodes[0].StatsAddr(),
		filepath.Join(os.TempDir(), "reprise-session.pem"), demoLen)
	tellAll(stdout, nodes, signals)
	return nil
}

// startDemo returns the nodes that have started, with an error if one has not.
func startDemo(configs []*config.Config, log *asynclog.Writer) (nodes []*node.Node, err error) {
	for _, c := range configs {
		n, err := node.New(invocation(nil), c, log)
		if err != nil {
			return nodes, err
		}
		n.Start()
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func endDemo(nodes []*node.Node) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, n := range nodes {
		n.Drain(ctx)
		err = errors.Join(err, n.Close())
	}
	return err
}

// tellAll tells what nodes do until a signal comes.
func tellAll(w io.Writer, nodes []*node.Node, signals <-chan os.Signal) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	told := make([]map[string]uint64, len(nodes))
	for {
		select {
		case <-signals:
			return
		case <-ticker.C:
			for i, n := range nodes {
				told[i] = tell(w, i+1, n.EngineStats(), told[i])
			}
		}
	}
}

const demoText = `
Reprise is serving https://%[1]s: a balancer deals connections to %[4]d nodes in turn, which share one memory of TLS
sessions by sealed UDP. In another terminal:

  curl -k https://%[1]s/

  # A full handshake that keeps its session, then some that resume it, each at the next node: New, then Reused.
  # The session comes after the handshake: a client that hangs up at once gets none.
  sleep 1 | openssl s_client -connect %[1]s -sess_out %[3]s 2>/dev/null | grep -E '^(New|Reused)'
  sleep 1 | openssl s_client -connect %[1]s -sess_in  %[3]s 2>/dev/null | grep -E '^(New|Reused)'

  # What node 1 has counted: see "caches", "outcomes" and "replication".
  curl -s telnet://%[2]s </dev/null

Ctrl-C ends it. What happens:

`

// demoConfigs makes the nodes' configurations; args are added to each.
func demoConfigs(dir, backend string, args []string) ([]*config.Config, error) {
	cert, err := testpki.SelfSigned(testpki.Template{
		Key:   testpki.ECDSA,
		Names: []string{"localhost", "127.0.0.1"},
	})
	if err != nil {
		return nil, node.RuntimeError{Err: err}
	}
	if cert, err = cert.Write(dir, "demo"); err != nil {
		return nil, node.RuntimeError{Err: err}
	}
	udp, err := demoPorts()
	if err != nil {
		return nil, node.RuntimeError{Err: err}
	}
	var configs []*config.Config
	for i := range demoLen {
		own := []string{
			"--sslrouter", fmt.Sprintf("127.0.0.1:0,%s,%s", cert.CertFile, cert.KeyFile),
			"--sslrouter-to", backend,
			"--sslrouter-session-context", "demo",
			"--http-processes", "1",
			"--cache-udp-server", udp[i],
			"--stats", demoAddress("127.0.0.1:" + strconv.Itoa(5001+i)),
		}
		for j := range demoLen {
			if j != i {
				own = append(own, "--cache-udp-node", udp[j])
			}
		}
		c, err := config.Parse(append(own, args...))
		if err != nil {
			return nil, err
		}
		configs = append(configs, c)
	}
	return configs, nil
}

// demoPorts returns free UDP addresses, one for each node.
func demoPorts() (addrs []string, err error) {
	for range demoLen {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer c.Close() // after all are found
		addrs = append(addrs, c.LocalAddr().String())
	}
	return addrs, nil
}

// demoAddress returns the address, or one with a free port if it is taken.
func demoAddress(preferred string) string {
	ln, err := net.Listen("tcp", preferred)
	if err != nil {
		return "127.0.0.1:0"
	}
	ln.Close()
	return preferred
}

// balance relays connections to the nodes in turn, without reading TLS.
func balance(ln net.Listener, nodes []*node.Node) {
	for i := 0; ; i++ {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			n, err := net.Dial("tcp", nodes[i%len(nodes)].Addresses()[0])
			if err != nil {
				return
			}
			defer n.Close()
			var both sync.WaitGroup
			both.Add(2)
			for _, way := range [][2]net.Conn{{n, c}, {c, n}} {
				go func() {
					defer both.Done()
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].(*net.TCPConn).CloseWrite()
				}()
			}
			both.Wait()
		}()
	}
}

// demoWords explains each outcome.
var demoWords = map[tlsconn.Outcome]string{
	tlsconn.NewClient:     "full handshake with a new client",
	tlsconn.ResumedLocal:  "resumed a session made here",
	tlsconn.ResumedPushed: "resumed a session made at another node, which had told this one",
	tlsconn.ResumedPulled: "resumed a session made at another node, which this one asked",
}

// tell writes the changes since the last call.
func tell(w io.Writer, number int, s engine.Stats, before map[string]uint64) map[string]uint64 {
	for o := tlsconn.NewClient; o <= tlsconn.MissOtherEngine; o++ {
		words := demoWords[o]
		if words == "" {
			words = "full handshake, the session offered was: " + o.String()
		}
		for n := before[o.String()]; n < s.TLS.Outcomes.Counts()[o.String()]; n++ {
			fmt.Fprintf(w, "node %d: %s\n", number, words)
		}
	}
	return s.TLS.Outcomes.Counts()
}

// demoServer is the backend.
type demoServer struct {
	http.Server
	addr string
}

func demoBackend() (*demoServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &demoServer{addr: ln.Addr().String()}
	s.ReadHeaderTimeout = 10 * time.Second
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Hello from the backend. It saw %s %s in clear; TLS ended at Reprise.\n",
			r.Method, r.URL)
	})
	go func() { _ = s.Serve(ln) }()
	return s, nil
}
