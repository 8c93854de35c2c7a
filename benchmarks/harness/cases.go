package main

import (
	"context"
	"crypto/tls"
	"slices"
	"syscall"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/peers"
	"reprise/benchmarks/report"
)

// testcase is one question put to several servers.
type testcase struct {
	report.Case
	points []int                 // nil is one point, 0
	peers  func(peers.Peer) bool // nil needs no server
	setup  setup
	nodes  func(point int) int // nil is one
	// sessions of others that nodes are to have room for; nil is none
	sessions func(point int) int
	rounds   int           // at most; 0 is no bound of its own
	takes    time.Duration // one measurement, about; 0 is the duration that is asked for
	tool     string        // program that must be installed, "" is none
	fresh    bool          // a server is started anew for each measurement
	measure  measure
}

// measure takes one sample. It fills in its measurements and Invalid; an error is equivalent to
// Invalid.
type measure func(ctx context.Context, b *bench, s *server, point int) (report.Sample, error)

// aims is 1 for a case that has one, else 0.
func (c testcase) aims() int {
	if c.Aim > 0 || len(c.AimGrowth) > 0 {
		return 1
	}
	return 0
}

const (
	cpuPerOp  = "CPU µs per connection" // the name that package report knows
	cpuPerReq = "CPU µs per request"
)

func cases() []testcase {
	return slices.Concat(handshakes(), streams(), connections(), kept(), fleets(), aparts(), changes())
}

// handshakes are connections with one request each. It is long because it is a table.
func handshakes() []testcase {
	full13 := connection(load.Full, tls.VersionTLS13)
	resumed13, resumed12 := connection(load.Resumed, tls.VersionTLS13),
		connection(load.Resumed, tls.VersionTLS12)
	return []testcase{
		{
			Case: report.Case{
				Name: "full13", Title: "A full TLS 1.3 handshake with an ECDSA P-256 key, and one request.",
				Unit: cpuPerOp, Best: true, Aim: 0.55, AimOf: "reprise", Headline: true,
			},
			peers: tcp, measure: full13,
		},
		{
			Case: report.Case{
				Name: "full13-rsa", Title: "A full TLS 1.3 handshake with an RSA-2048 key, and one request; with Reprise's OpenSSL build beside the usual one.",
				Unit: cpuPerOp, Best: true, Aim: 0.90, AimOf: "reprise-openssl", Headline: true,
			},
			peers: tcpOpenSSL, setup: setup{rsa: true}, measure: full13,
		},
		{
			Case: report.Case{
				Name: "resumed13", Title: "A resumed TLS 1.3 handshake (with its new key exchange), and one request.",
				Unit: cpuPerOp, Best: true, Aim: 0.55, AimOf: "reprise", Headline: true,
			},
			peers: tcp, measure: resumed13,
		},
		{
			Case: report.Case{
				Name: "resumed12", Title: "A resumed TLS 1.2 handshake, and one request.",
				Unit: cpuPerOp, Best: true, Aim: 0.70, AimOf: "reprise", Headline: true,
			},
			peers: tcp, measure: resumed12,
		},
		{
			Case:  report.Case{Name: "full13-p256", Title: "As full13, everyone on P-256, for the sake of uWSGI.", Unit: cpuPerOp, Best: true},
			peers: tcp, setup: setup{p256: true}, rounds: 3, measure: full13,
		},
		{
			Case:  report.Case{Name: "resumed13-p256", Title: "As resumed13, everyone on P-256, for the sake of uWSGI.", Unit: cpuPerOp, Best: true},
			peers: tcp, setup: setup{p256: true}, rounds: 3, measure: resumed13,
		},
		{
			Case:  report.Case{Name: "full13-http", Title: "As full13, by servers that parse HTTP.", Unit: cpuPerOp, Best: true, Aim: 0.57, AimOf: "reprise-http"},
			peers: http, measure: full13,
		},
		{
			Case:  report.Case{Name: "resumed13-http", Title: "As resumed13, by servers that parse HTTP.", Unit: cpuPerOp, Best: true, Aim: 0.65, AimOf: "reprise-http"},
			peers: http, measure: resumed13,
		},
		{
			Case:  report.Case{Name: "resumed12-http", Title: "As resumed12, by servers that parse HTTP.", Unit: cpuPerOp, Best: true, Aim: 0.85, AimOf: "reprise-http"},
			peers: http, measure: resumed12,
		},
		{
			Case: report.Case{
				Name: "full13-mlkem", Title: "As full13, of clients that offer X25519MLKEM768 and X25519: Reprise does both, peers, whose OpenSSL knows only the latter, one.",
				Unit: cpuPerOp, Best: true, Aim: 0.72, AimOf: "reprise", Headline: true,
			},
			peers: tcp, setup: setup{mlkem: true}, measure: full13,
		},
		{
			Case:  report.Case{Name: "resumed13-mlkem", Title: "As resumed13, of the same clients.", Unit: cpuPerOp, Best: true, Aim: 0.72, AimOf: "reprise"},
			peers: tcp, setup: setup{mlkem: true}, measure: resumed13,
		},
		{
			Case:  report.Case{Name: "resumed12-id", Title: "A TLS 1.2 handshake resumed by session ID, and one request, of eight clients in Python, which leave the server idle half the time.", Unit: cpuPerOp, Best: true, Aim: 0.70, AimOf: "reprise"},
			peers: oneOf("reprise", "haproxy", "nginx"), setup: setup{byID: true}, tool: "python3", takes: 2 * time.Second, measure: byID,
		},
		{
			Case:  report.Case{Name: "full13-client", Title: "As full13, of clients with a certificate (ECDSA P-256), which the server verifies.", Unit: cpuPerOp, Best: true},
			peers: oneOf("reprise", "haproxy", "nginx", "hitch"), setup: setup{clientCert: true}, measure: full13,
		},
		{
			Case:  report.Case{Name: "resumed13-cores", Title: "As resumed13, with as many workers as cores, which load generator and backend use too.", Unit: cpuPerOp, Best: true},
			peers: tcp, setup: setup{allCores: true}, measure: resumed13,
		},
	}
}

// streams are requests and bytes on connections that stay open. It is long because it is a table.
func streams() []testcase {
	keepAlive := requests(load.Options{Mode: load.KeepAlive, Conns: 64})
	return []testcase{
		{
			Case:  report.Case{Name: "keepalive", Title: "A small request on one of 64 connections that stay open.", Unit: cpuPerReq, Best: true, Aim: 0.90, AimOf: "reprise"},
			peers: tcp, measure: keepAlive,
		},
		{
			Case:  report.Case{Name: "keepalive-wrk", Title: "The same by wrk (its 64 handshakes included).", Unit: cpuPerReq, Best: true},
			peers: tcp, tool: "wrk", measure: wrk,
		},
		{
			Case: report.Case{
				Name: "keepalive-http", Title: "As keepalive, by servers that parse HTTP.",
				Unit: cpuPerReq, Best: true, Aim: 0.85, AimOf: "reprise-http", Headline: true,
			},
			peers: http, measure: keepAlive,
		},
		{
			Case:  report.Case{Name: "keepalive-wrk-http", Title: "As keepalive-wrk, by servers that parse HTTP.", Unit: cpuPerReq, Best: true},
			peers: http, tool: "wrk", measure: wrk,
		},
		{
			Case:  report.Case{Name: "keepalive-cores", Title: "As keepalive, with as many workers as cores, which load generator and backend use too.", Unit: cpuPerReq, Best: true},
			peers: tcp, setup: setup{allCores: true}, measure: keepAlive,
		},
		{
			Case:  report.Case{Name: "open-loop", Title: "2,000 small requests a second on 64 connections, whether or not the server keeps up: latency counts from the intended start.", Unit: cpuPerReq, Best: true},
			peers: tcp, measure: requests(load.Options{Mode: load.OpenLoop, Conns: 64, Rate: 2000}),
		},
		{
			Case:  report.Case{Name: "h2", Title: "HTTP/2 requests by h2load through to a backend that speaks it, 16 connections with 8 streams each.", Unit: cpuPerReq, Best: true},
			peers: tcp, setup: setup{h2: true}, tool: "h2load", takes: 2 * time.Second, measure: h2load,
		},
		{
			Case: report.Case{
				Name: "http2", Title: "HTTP/2 requests by h2load to servers that parse them and ask their backend by HTTP/1.1, 16 connections with 8 streams each.",
				Unit: cpuPerReq, Best: true, Aim: 0.85, AimOf: "reprise-http", Headline: true,
			},
			peers: http, setup: setup{http2: true}, tool: "h2load", takes: 2 * time.Second, measure: h2load,
		},
		{
			Case:  report.Case{Name: "http2-h2c", Title: "As http2, but the backend is asked by HTTP/2 (h2c), for gRPC, say.", Unit: cpuPerReq, Best: true},
			peers: oneOf("reprise-http", "haproxy-http"), setup: setup{h2c: true}, tool: "h2load", takes: 2 * time.Second, measure: h2load,
		},
		{
			Case:  report.Case{Name: "download", Title: "Answers of 100 MiB.", Unit: "CPU ms per GB", Best: true, Aim: 0.80, AimOf: "reprise", Headline: true},
			peers: tcp, takes: 1500 * time.Millisecond, measure: bulk(load.Download),
		},
		{
			Case:  report.Case{Name: "upload", Title: "Requests of 100 MiB.", Unit: "CPU ms per GB", Best: true, Aim: 0.70, AimOf: "reprise"},
			peers: tcp, takes: 1500 * time.Millisecond, measure: bulk(load.Upload),
		},
		{
			Case:  report.Case{Name: "storm", Title: "p99 of 500 requests a second on 32 established connections while others do full handshakes as fast as they can.", Unit: "p99 µs", Best: true, Aim: 0.80, AimOf: "reprise", Headline: true},
			peers: tcp, takes: 3 * time.Second, measure: storm,
		},
		{
			Case:  report.Case{Name: "storm-rsa", Title: "As storm, with an RSA-2048 key, which makes a handshake cost the server much more than its client.", Unit: "p99 µs", Best: true, Aim: 0.80, AimOf: "reprise", Headline: true},
			peers: tcpOpenSSL, setup: setup{rsa: true}, takes: 3 * time.Second, measure: storm,
		},
	}
}

// connections are cases about many of them.
func connections() []testcase {
	return []testcase{
		{
			Case:  report.Case{Name: "accept", Title: "A TCP connection that its client closes without a word.", Unit: cpuPerOp, Best: true},
			peers: tcp, measure: plain(load.Options{Mode: load.Accept, Conns: 16}),
		},
		{
			Case: report.Case{
				Name: "idle", Title: "Memory of an idle connection: growth of the proportional set size, divided by connections, seven seconds after the last handshake. Without stunnel, which has a thread for each.",
				Unit: "KB per connection", Point: "connections", Best: true, Aim: 0.17, AimOf: "reprise", Headline: true,
			},
			points: []int{1000, 9000}, peers: noThreads, fresh: true, rounds: 2,
			takes: settle + 4*time.Second, measure: idle,
		},
		{
			Case:   report.Case{Name: "growth", Title: "A small request on one of 32 connections while others are idle.", Unit: cpuPerReq, Point: "idle connections", Best: true},
			points: []int{10, 1000, 9000}, peers: oneOf("reprise", "haproxy", "nginx"), fresh: true, rounds: 2,
			takes: 3 * time.Second, measure: growth,
		},
		{
			Case:   report.Case{Name: "connections", Title: "10,000 small requests a second on so many connections, and the growth of memory divided by connections.", Unit: cpuPerReq, Point: "connections", Best: true},
			points: []int{1000, 9000}, peers: http, fresh: true, rounds: 2, takes: 5 * time.Second,
			measure: many,
		},
		{
			Case:   report.Case{Name: "sessions", Title: "Looking up one of so many sessions of TLS 1.3 in Reprise's cache, one goroutine; memory is what the cache says is resident, the pause is of a collection of the whole heap.", Unit: "ns per look-up", Point: "sessions"},
			points: []int{1_000, 10_000, 100_000, 1_000_000, 5_000_000}, rounds: 1, takes: 3 * time.Second,
			measure: lookUps,
		},
	}
}

// kept are the sessions that a node has.
func kept() []testcase {
	size := func(name, title string, version uint16, u setup) testcase {
		return testcase{
			Case:  report.Case{Name: name, Title: title, Unit: "bytes per session"},
			peers: oneOf("reprise"), rounds: 1, fresh: true, setup: u, measure: sessionBytes(version),
		}
	}
	const title = "What a session takes in a node's cache, its part of the index included: of TLS "
	client := setup{clientCert: true}
	return []testcase{
		size("session13", title+"1.3, of which a full handshake makes two.", tls.VersionTLS13, setup{}),
		size("session13-client", title+"1.3 whose client has a certificate (ECDSA P-256).", tls.VersionTLS13, client),
		size("session12", title+"1.2.", tls.VersionTLS12, setup{}),
		size("session12-client", title+"1.2 whose client has a certificate.", tls.VersionTLS12, client),
		{
			Case:   report.Case{Name: "resumed13-among", Title: "As resumed13, at a node that has so many sessions of other clients, which another node has told it.", Unit: cpuPerOp, Point: "sessions"},
			points: []int{10_000, 1_000_000, 5_000_000}, sessions: same, peers: oneOf("reprise"),
			takes: 3 * time.Second, measure: among,
		},
	}
}

// aparts are fleets of nodes that are apart from each other.
func aparts() []testcase {
	const title = "Resumption at any of several nodes in network namespaces that a bridge joins, with cache-replication = "
	const calmly = " Lag is from a client's Finished at one node until all others have the session; calm are 200 connections a second, each to another node than the last."
	return []testcase{
		{
			Case:   report.Case{Name: "apart-push", Title: title + "push." + calmly, Unit: cpuPerOp, Point: "nodes"},
			points: []int{1, 8}, nodes: same, fresh: true, rounds: 3, peers: oneOf("reprise"),
			setup: setup{replication: "push", apart: true}, takes: 4 * time.Second, measure: apart,
		},
		{
			Case:   report.Case{Name: "apart-homes", Title: title + "homes." + calmly, Unit: cpuPerOp, Point: "nodes"},
			points: []int{1, 8}, nodes: same, fresh: true, rounds: 3, peers: oneOf("reprise"),
			setup: setup{replication: "homes", apart: true}, takes: 4 * time.Second, measure: apart,
		},
		{
			Case:   report.Case{Name: "join-push", Title: "A ninth node is started beside eight in network namespaces, which have so many sessions: time until it has all of them.", Unit: "ms", Point: "sessions"},
			points: []int{20_000, 100_000}, nodes: eight, sessions: same, fresh: true, rounds: 3,
			peers: oneOf("reprise"),
			setup: setup{replication: "push", apart: true, spare: true}, takes: 5 * time.Second, measure: joining,
		},
		{
			Case:   report.Case{Name: "join-homes", Title: "As join-push, with cache-replication = homes: time until it resumes a session of before, for which it asks.", Unit: "ms", Point: "sessions"},
			points: []int{20_000}, nodes: eight, sessions: same, fresh: true, rounds: 3, peers: oneOf("reprise"),
			setup: setup{replication: "homes", apart: true, spare: true}, takes: 3 * time.Second, measure: joining,
		},
	}
}

func eight(int) int { return 8 }

// fleets are several nodes on one core.
func fleets() []testcase {
	return []testcase{
		{
			Case: report.Case{
				Name:  "fleet",
				Title: "As resumed13, each connection to a random one of several nodes, CPU of all nodes together. HAProxy and nginx share ticket keys by file, hitch cannot; Reprise tells all nodes each new session.",
				Unit:  cpuPerOp, Point: "nodes", Best: true,
				AimOf: "reprise", AimGrowth: map[int]float64{2: 1.10, 4: 1.25, 8: 1.40},
			},
			points: []int{1, 2, 4, 8}, nodes: same, peers: oneOf("reprise", "haproxy", "nginx", "hitch"), measure: fleet,
		},
		{
			Case:   report.Case{Name: "fleet-push", Title: "As fleet, with cache-replication = push: every node has every session.", Unit: cpuPerOp, Point: "nodes"},
			points: []int{1, 2, 4, 8}, nodes: same, peers: oneOf("reprise"), setup: setup{replication: "push"},
			measure: fleet,
		},
		{
			Case:   report.Case{Name: "fleet-homes", Title: "As fleet, with cache-replication = homes: two nodes have each session, and are asked.", Unit: cpuPerOp, Point: "nodes"},
			points: []int{1, 2, 4, 8}, nodes: same, peers: oneOf("reprise"), setup: setup{replication: "homes"},
			measure: fleet,
		},
		{
			Case:   report.Case{Name: "replication", Title: "A node that is told of each new session by another node, whose clients do full handshakes as fast as they can. Lag is from the making of a session to its being here.", Unit: "CPU µs per session received", Point: "nodes"},
			points: []int{2}, nodes: same, peers: oneOf("reprise"), takes: 2 * time.Second, measure: replication,
		},
	}
}

// changes are changes of the server itself while clients connect.
func changes() []testcase {
	return []testcase{
		{
			Case:  report.Case{Name: "reload", Title: "p99 of 200 new connections a second while the server reads its configuration again every 300 ms.", Unit: "p99 µs", Best: true},
			peers: oneOf("reprise", "hitch"), fresh: true, takes: 3 * time.Second, measure: changed(syscall.SIGHUP),
		},
		{
			Case:  report.Case{Name: "upgrade", Title: "The same while a new process takes the server's place, once.", Unit: "p99 µs"},
			peers: oneOf("reprise"), fresh: true, takes: 3 * time.Second, measure: changed(syscall.SIGUSR2),
		},
	}
}

func same(point int) int { return point }

func tcp(p peers.Peer) bool        { return p.Mode == peers.TCP && p.Name != "reprise-openssl" }
func noThreads(p peers.Peer) bool  { return tcp(p) && p.Name != "stunnel" }
func tcpOpenSSL(p peers.Peer) bool { return p.Mode == peers.TCP }
func http(p peers.Peer) bool       { return p.Mode == peers.HTTP }

func oneOf(names ...string) func(peers.Peer) bool {
	return func(p peers.Peer) bool { return slices.Contains(names, p.Name) }
}
