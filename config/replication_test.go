package config

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The session cache takes its own addresses, list by list, or else the global ones; no other cache
// gets any.
func TestPeers(t *testing.T) {
	inPKI(t)
	const global = "cache-udp-server = [0::1]:7171\ncache-udp-server = 225.1.1.1:7171\ncache-udp-node = Node.example:7171\ncache-udp-node = 225.1.1.1:7171\n"
	const servers, nodes = "[[::1]:7171 225.1.1.1:7171]", "[node.example:7171 225.1.1.1:7171]"
	tests := []struct {
		name, ini, caches string // caches: name, where it listens, its peers
	}{
		{"none", "cache2 = name=a,items=1", "a [] []"},
		{"the default cache", global, "default " + servers + " " + nodes},
		{"the legacy cache", "cache = 1\ncache2 = name=a,items=1\n" + global, "default " + servers + " " + nodes + "; a [] []"},
		{"the cache in use", "cache2 = name=a,items=1\ncache2 = name=b,items=1\nssl-sessions-use-cache = b\n" + global, "a [] []; b " + servers + " " + nodes},
		{"its own", "cache2 = name=a,items=1,node=127.0.0.1:4242,udp=127.0.0.1:4141", "a [127.0.0.1:4141] [127.0.0.1:4242]"},
		{"its own before the global", global + "cache2 = name=a,items=1,nodes=h:1; h:2,udp-servers=:1;225.1.1.2:2", "a [:1 225.1.1.2:2] [h:1 h:2]"},
		{"each list by itself", global + "cache2 = name=a,items=1,udpserver=:1", "a [:1] " + nodes},
		{"off", global + "cache2 = name=a,items=1\nssl-sessions-use-cache = false", "a [] []"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var caches []string
			c := mustParse(t, good+test.ini)
			for _, a := range slices.Concat(c.Replication.Listen, c.Replication.Peers) {
				if a.Network != "udp" {
					t.Errorf("%v is an address of %s, want udp", a, a.Network)
				}
			}
			for _, cache := range c.Caches {
				var r Replication
				if cache.Name == c.SessionCache {
					r = c.Replication
				}
				caches = append(caches, fmt.Sprint(cache.Name, " ", r.Listen, " ", r.Peers))
			}
			if got := strings.Join(caches, "; "); got != test.caches {
				t.Errorf("got %s, want %s", got, test.caches)
			}
		})
	}
	r := mustParse(t, good+global).Replication
	if got, want := fmt.Sprint(r.Listen, r.Peers), servers+" "+nodes; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A repeater needs no listener.
func TestRepeater(t *testing.T) {
	inPKI(t)
	for _, option := range []string{"--udprepeater-secret-file", "--cluster-secret-file"} {
		c := mustParse(t, "", "--udprepeater", "127.0.0.1:0", "--udprepeater", ":7171", option, "secret")
		if got, want := fmt.Sprint(c.Repeaters), "[127.0.0.1:0 :7171]"; got != want || len(c.Listeners) > 0 ||
			len(c.Warnings) > 0 {
			t.Errorf("got repeaters %s, listeners %v and warnings %q, want %s and none", got, c.Listeners, c.Warnings, want)
		}
	}
}

// TestReplicationWarnings says what is taken and warned of. It is long because it is a table.
func TestReplicationWarnings(t *testing.T) {
	inPKI(t)
	const (
		fleet   = "cache-udp-server = :7171\ncache-udp-node = 127.0.0.2:7171\n"
		secret  = "cluster-secret-file = secret\n"
		derived = `sslrouter = ":8443,cert.pem,key.pem": without cluster-secret-file the secret of the fleet is derived from key.pem: ` +
			"all nodes must have that key, a renewed one included, and anyone who has it can act as a node: make one with `reprise secret > FILE`, " +
			`give it to all nodes, and add cluster-secret-file = FILE`
	)
	tests := []struct {
		name, ini string
		want      []string // without places
	}{
		{"a fleet", fleet + "cluster-secret-file = secret\ncache-replication = pull\ncache-udp-ttl = 1", nil},
		{"a fleet without secret", fleet, []string{derived}},
		{"a node of a repeater", secret + "cache-udp-node = 127.0.0.2:7171\nudprepeater-secret-file = secret", nil},
		{"a multicast group", secret + "cache-udp-server = 225.1.1.1:7171\ncache-udp-node = 225.1.1.1:7171\ncache-udp-interface = lo\nmulticast-ttl = 2", nil},
		{"a store", "session-store = redis://127.0.0.1\ncluster-secret-file = secret", nil},
		{"sync", "cache-sync = a:1\ncache2 = name=a,items=1,sync=a:1", []string{
			`cache-sync = "a:1": sync has no effect: a node fetches what it lacks from a live peer by itself`,
			`cache2 = "name=a,items=1,sync=a:1": sync has no effect: a node fetches what it lacks from a live peer by itself`,
		}},
		{
			"another cache", "cache2 = name=a,items=1\ncache2 = name=b,items=1,node=h:1",
			[]string{`cache2 = "name=b,items=1,node=h:1": node and udp have no effect: only the cache of the TLS sessions is replicated, which this is not`},
		},
		{"global beside its own", secret + fleet + "cache2 = name=a,items=1,udp=:1,node=h:1", []string{
			`cache-udp-server = ":7171": no effect: cache a has udp of its own`,
			`cache-udp-node = "127.0.0.2:7171": no effect: cache a has node of its own`,
		}},
		{"no peer", secret + "cache-udp-server = :7171", []string{
			`cache-udp-server = ":7171": this node tells the others nothing: add cache-udp-node = ADDR`,
		}},
		{"no sessions", fleet + "ssl-sessions-use-cache = false\nsession-store = memcached://h", []string{
			`cache-udp-server = ":7171": no effect: this process keeps no TLS sessions`,
			`cache-udp-node = "127.0.0.2:7171": no effect: this process keeps no TLS sessions`,
			`session-store = "memcached://h": no effect: this process keeps no TLS sessions`,
		}},
		{
			"a repeater with nodes", "[reprise]\nudprepeater = :1\nudprepeater-secret-file = secret\ncache-udp-node = h:1",
			[]string{`cache-udp-node = "h:1": no effect: this process keeps no TLS sessions`},
		},
		{"alone", "cache-replication = push\ncache-udp-ttl = 2\ncluster-secret-file = secret\nudprepeater-secret-file = secret", []string{
			`cache-replication = "push": no effect without cache-udp-server and cache-udp-node`,
			`cache-udp-ttl = "2": no effect without cache-udp-server and cache-udp-node`,
			`udprepeater-secret-file = "secret": no effect without cache-udp-node or udprepeater`,
			`cluster-secret-file = "secret": no effect: sessions are not shared`,
		}},
		{"no group", secret + fleet + "cache-udp-interface = lo\ncache-udp-ttl = 1", []string{
			`cache-udp-interface = "lo": no effect: no address is a multicast group`,
		}},
		{"pull without a time-out", secret + fleet + "cache-replication = pull\nsession-store-timeout = 0", []string{
			`cache-replication = "pull": no session comes from other nodes with cache-lookup-timeout 0: raise it`,
		}},
		{"homes without a time-out", secret + fleet + "cache-replication = homes\nsession-store-timeout = 0", []string{
			`cache-replication = "homes": no session comes from other nodes with cache-lookup-timeout 0: raise it`,
		}},
		{"push, as it was called", secret + fleet + "cache-replication = push+pull", nil},
		{"contexts made of addresses", secret + fleet + "https = 192.0.2.1:443,cert.pem,key.pem\nhttp-to = h:1\nhttps = 0.0.0.0:444,cert.pem,key.pem", []string{
			`https = "192.0.2.1:443,cert.pem,key.pem": 192.0.2.1:443: its sessions are resumed only at nodes that listen on the same address, ` +
				`because its session context is made of that: write https-session-context = NAME, the same at all nodes`,
		}},
		{"a context of its own", secret + fleet + "https = 192.0.2.1:443,cert.pem,key.pem\nhttp-to = h:1\nhttps-session-context = a", nil},
		{"not shared", "https = 192.0.2.1:443,cert.pem,key.pem,,!ca.pem\nhttp-to = h:1", nil},
		{"several keys and no secret", fleet + "sslrouter = :1,rsa.pem,rsa-key.pem", []string{
			derived,
		}},
		{"a password as printed", secret + "session-store = redis://u:***@h", []string{
			`session-store = "redis://u:***@h": *** stands for a password that was not shown: write the password`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !strings.HasPrefix(test.ini, "[") {
				test.ini = good + test.ini
			}
			c := mustParse(t, test.ini)
			normalize(c)
			if !slices.Equal(c.Warnings, test.want) {
				t.Errorf("got  %q\nwant %q", c.Warnings, test.want)
			}
		})
	}
}

// TestWrongReplication says what is told of each mistake. It is long because it is a table.
func TestWrongReplication(t *testing.T) {
	inPKI(t)
	const secretHint = ": make one with reprise secret"
	const storeHint = "bad URL: write redis[s]://[[USER]:PASSWORD@]HOST[:PORT][,HOST...][/DB][?ca=FILE] or memcached://HOST[:PORT][,HOST...]"
	const makeOne = ": make one with `reprise secret > FILE`, give it to all nodes, and add cluster-secret-file = FILE"
	testWrong(t, []wrong{
		// A secret that is a server's key, where it would let an attacker in.
		{
			name: "derived secret and a store", ini: "session-store = redis://h",
			want: `edge.ini:4: session-store = "redis://h": sessions in a store need a secret that is not a server's key` + makeOne,
		},
		{
			name: "derived secret and client certificates", ini: "cache-udp-node = h:1\nhttp-to = h:1\nhttps = :444,cert.pem,key.pem,,ca.pem",
			want: `edge.ini:6: https = ":444,cert.pem,key.pem,,ca.pem": sessions of clients with certificates are shared with other nodes, ` +
				`which needs a secret that is not a server's key` + makeOne,
		},
		{
			name: "derived secret and client certificates of a name", ini: "cache-udp-node = h:1\nsni = b.example cert.pem,key.pem,,!ca.pem",
			want: `edge.ini:5: sni = "b.example cert.pem,key.pem,,!ca.pem": ` + evaded("edge.ini:2") + "\n" +
				`edge.ini:5: sni = "b.example cert.pem,key.pem,,!ca.pem": sessions of clients with certificates are shared with other nodes, ` +
				`which needs a secret that is not a server's key` + makeOne,
		},
		// Addresses.
		{
			name: "unix socket", ini: "cache-udp-server = /run/x",
			want: `edge.ini:4: cache-udp-server = "/run/x": a unix socket, but nodes speak UDP: write host:port, :port or [v6]:port`,
		},
		{
			name: "unix socket as peer", ini: "cache2 = name=a,items=1,node=h:1;/run/x",
			want: `edge.ini:4: cache2 = "name=a,items=1,node=h:1;/run/x": ` +
				`node "h:1;/run/x": a unix socket, but nodes speak UDP: write host:port or [v6]:port`,
		},
		{
			name: "peer without port", args: "--cache-udp-node 127.0.0.2",
			want: `--cache-udp-node "127.0.0.2": no port: write host:port or [v6]:port`,
		},
		{
			name: "link-local peer", ini: "cache-udp-node = [fe80::1%eth0]:7171",
			want: `edge.ini:4: cache-udp-node = "[fe80::1%eth0]:7171": a link-local address: give nodes addresses ` +
				`without a zone, such as unique local ones (fd00::/8)`,
		},
		{
			name: "peer on port 0", ini: "cache-udp-node = 127.0.0.2:0",
			want: `edge.ini:4: cache-udp-node = "127.0.0.2:0": port 0: write the port that the node listens on`,
		},
		{
			name: "peer without host", ini: "cache-udp-node = :7171",
			want: `edge.ini:4: cache-udp-node = ":7171": no host to send to: write host:port or [v6]:port`,
		},
		{
			name: "every address as peer", ini: "cache-udp-node = [::]:7171",
			want: `edge.ini:4: cache-udp-node = "[::]:7171": no host to send to: write host:port or [v6]:port`,
		},
		{
			name: "group on port 0", ini: "cache-udp-server = 225.1.1.1:0",
			want: `edge.ini:4: cache-udp-server = "225.1.1.1:0": port 0: write the port of the group, which all nodes share`,
		},
		{
			name: "empty list", ini: "cache2 = name=a,items=1,udp=",
			want: `edge.ini:4: cache2 = "name=a,items=1,udp=": udp "": no address: write host:port, :port or [v6]:port`,
		},
		{
			name: "both spellings", ini: "cache2 = name=a,items=1,node=h:1,nodes=h:2",
			want: `edge.ini:4: cache2 = "name=a,items=1,node=h:1,nodes=h:2": key "nodes" stands twice`,
		},
		{
			name: "a peer twice", ini: "cache-udp-node = h:1", args: "--cache-udp-node H:1",
			want: `--cache-udp-node "H:1": h:1 stands twice among the nodes: remove one`,
		},
		{
			name: "listening twice", ini: "cache-udp-server = :7171", args: "--udprepeater :7171 --udprepeater-secret-file secret",
			want: `--udprepeater ":7171": :7171 is taken by cache-udp-server at edge.ini:4: choose another address`,
		},

		// Values.
		{
			name: "unknown mode", ini: "cache-replication = pull+push",
			want: `edge.ini:4: cache-replication = "pull+push": bad choice: write auto or push or homes or pull or push+pull`,
		},
		{
			name: "datagram too long", ini: "cache-udp-datagram = 64k",
			want: `edge.ini:4: cache-udp-datagram = "64k": bad size: write bytes from 576 to 16k, such as 65536 or 64k`,
		},
		{
			name: "dead before the next heartbeat", ini: "cache-udp-heartbeat = 3s",
			want: `edge.ini:4: cache-udp-heartbeat = "3s": cache-udp-dead-after 3s is not above cache-udp-heartbeat 3s: raise it`,
		},
		{
			name: "dead before the default heartbeat", ini: "cache-udp-dead-after = 500ms",
			want: `edge.ini:4: cache-udp-dead-after = "500ms": cache-udp-dead-after 500ms is not above cache-udp-heartbeat 1s: raise it`,
		},

		// Secrets.
		{
			name: "missing secret", ini: "cluster-secret-file = none",
			want: `edge.ini:4: cluster-secret-file = "none": cannot read none: no such file or directory`,
		},
		{
			name: "secret that is a directory", ini: "cluster-secret-file = .",
			want: `edge.ini:4: cluster-secret-file = ".": cannot read .: is a directory`,
		},
		{
			name: "short secret", ini: "cluster-secret-file = secret\ncluster-secret-file = short",
			want: `edge.ini:5: cluster-secret-file = "short": short has 15 bytes, a secret at least 16` + secretHint,
		},
		{
			name: "empty secret", ini: "cluster-secret-file = empty.pem",
			want: `edge.ini:4: cluster-secret-file = "empty.pem": empty.pem has 0 bytes, a secret at least 16` + secretHint,
		},
		{
			name: "constant secret", args: "--udprepeater-secret-file constant --udprepeater :1",
			want: `--udprepeater-secret-file "constant": constant is one byte repeated` + secretHint,
		},
		{
			name: "endless secret", ini: "cluster-secret-file = /dev/urandom",
			want: `edge.ini:4: cluster-secret-file = "/dev/urandom": /dev/urandom has more than 4096 bytes` + secretHint,
		},

		// Repeaters.
		{
			name: "repeater without secret", ini: "[reprise]\nudprepeater = :7171",
			want: `edge.ini:2: udprepeater = ":7171": no secret to recognise its nodes by: add udprepeater-secret-file = FILE`,
		},
		{
			name: "repeater of a group", ini: "udprepeater = [ff02::1]:7171\nudprepeater-secret-file = secret",
			want: `edge.ini:4: udprepeater = "[ff02::1]:7171": a multicast group: write an address of this machine`,
		},

		// Stores, whose errors show no password.
		{
			name: "unknown kind of store", ini: "session-store = http://h",
			want: `edge.ini:4: session-store = "***": ` + storeHint,
		},
		{
			name: "store with a misplaced password", args: "--session-store redis://h:6379?password=hunter2",
			want: `--session-store "***": ` + storeHint,
		},
		{
			name: "password for memcached", ini: "session-store = memcached://eve:hunter2@h",
			want: `edge.ini:4: session-store = "***": ` + storeHint,
		},
		{
			name: "control character behind a password", ini: "session-store = redis://eve:hunter2@h\x1b",
			want: `edge.ini:4: session-store = "***": control character: remove it`,
		},
		{
			name: "line with a password that cannot be read", ini: `session-store = """redis://eve:hunter2@h`,
			want: `edge.ini:4: cannot read "session-store = \"\"\"redis://***@h": write key = value or [section]`,
		},
	})
}

func TestMaskStore(t *testing.T) {
	inPKI(t)
	for url, want := range map[string]string{
		"redis://h":                      "redis://h",
		"redis://h_1.example:7000/3":     "redis://h_1.example:7000/3",
		"redis://:hunter2@[::1]:7000":    "redis://:***@[::1]:7000",
		"redis://eve:a/b:c?d@e@h,i:1/0":  "redis://eve:***@h,i:1/0",
		"rediss://e:hunter2@h?ca=ca.pem": "rediss://e:***@h?ca=ca.pem",
		"memcached://h,192.0.2.1:99":     "memcached://h,192.0.2.1:99",
		"redis://:***@h":                 "redis://:***@h",

		"":                        "***",
		"redis://":                "***",
		"redis://h,":              "***",
		"redis://h:hunter2":       "***",
		"redis://hunter2@h":       "***",
		"redis://e:@h":            "***",
		"redis://e:hunter2@h/x":   "***",
		"redis:/e:hunter2@h":      "***",
		"hunter2://e:f@h":         "***",
		"redis://e:f@h?x=hunter2": "***",
	} {
		if got := maskStore(url); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
		if _, err := Parse([]string{"--session-store", url}); strings.Contains(err.Error(), "session-store") != (want == "***") {
			t.Errorf("%s: got %v, but it is shown as %s", url, err, want)
		}
	}
}

// A password is read whole and never shown.
func TestStorePassword(t *testing.T) {
	inPKI(t)
	const url = "redis://eve:hunter2@h"
	c := mustParse(t, good+"cluster-secret-file = secret\nsession-store = memcached://h\n", "--session-store", url)
	if want := []string{"memcached://h", url}; !slices.Equal(c.SessionStores, want) {
		t.Errorf("got %q, want %q", c.SessionStores, want)
	}
	want := []string{`--session-store "redis://eve:***@h": every user of this machine can see the password of a command: write it in a file`}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("got %q, want %q", c.Warnings, want)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\nsession-store = redis://eve:***@h\n") || strings.Contains(out.String(), "hunter2") {
		t.Errorf("the password is not masked in\n%s", &out)
	}
}

func TestReadSecret(t *testing.T) {
	inPKI(t)
	writeFile(t, "lines", []byte("0123456789abcdef\n\n"))
	for file, want := range map[string]string{"secret": strings.Repeat("0123456789abcdef", 4), "secret2": "fedcba9876543210", "lines": "0123456789abcdef\n"} {
		if got, err := ReadSecret(file); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
		}
	}
	for _, file := range []string{"none", "short", "constant", "long"} {
		if got, err := ReadSecret(file); err == nil || got != nil {
			t.Errorf("%s: got %q, %v, want an error", file, got, err)
		}
	}
}

func TestWarningAboutReadableSecret(t *testing.T) {
	inPKI(t)
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o400: 0, 0o640: 1, 0o604: 1, 0o620: 1} {
		if err := os.Chmod("secret", mode); err != nil {
			t.Fatal(err)
		}
		c := mustParse(t, good+"cache-udp-node = h:1\ncluster-secret-file = secret")
		if len(c.Warnings) != want || want > 0 &&
			c.Warnings[0] != `edge.ini:5: cluster-secret-file = "secret": others than its owner can read or change secret: chmod 600 it` {
			t.Errorf("mode %o: got %q, want %d", mode, c.Warnings, want)
		}
	}
}

// All nodes may be given one list of nodes: each leaves itself out.
func TestOwnAddressAmongNodes(t *testing.T) {
	inPKI(t)
	for name, ini := range map[string]string{
		"for all caches":  "cache-udp-server = [::1]:7171\ncache-udp-node = [0::1]:7171\ncache-udp-node = h:1\n",
		"of one cache":    "cache2 = name=a,items=1,udp=127.0.0.1:1,node=h:1;127.0.0.1:1\n",
		"of either":       "cache-udp-server = 127.0.0.1:1\ncache2 = name=a,items=1,node=127.0.0.1:1;h:1\n",
		"several of them": "cache-udp-server = :1\ncache-udp-server = :2\ncache-udp-node = h:1\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := mustParse(t, good+"cluster-secret-file = secret\n"+ini)
			if got := fmt.Sprint(c.Replication.Peers); got != "[h:1]" || len(c.Warnings) > 0 {
				t.Errorf("got peers %s and warnings %q, want [h:1] and none", got, c.Warnings)
			}
		})
	}
}
