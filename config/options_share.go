package config

import (
	"time"
)

// shareOptions say how nodes share sessions.
var shareOptions = []option{
	{
		name: "cache-udp-server", group: groupShare, form: "ADDR", repeat: true,
		help: "where other nodes reach the session cache by UDP, unless it has udp= of its own: an " +
			"address of this machine or a multicast group",
		set: collect(parseUDP, func(b *builder) *[]pendingAddress { return &b.udpServers }),
	},
	{
		name: "cache-udp-node", group: groupShare, form: "ADDR", repeat: true,
		help: "where the session cache sends its sessions, unless it has node= of its own: the " +
			"cache-udp-server of another node, " +
			"a multicast group or a udprepeater. All addresses of a DNS name are used",
		set: collect(parsePeer, func(b *builder) *[]pendingAddress { return &b.udpNodes }),
	},
	{
		name: "cluster-secret-file", group: groupShare, form: "FILE", repeat: true,
		help: "a secret that all nodes share and that seals what they tell each other: at least 16 " +
			"bytes, as reprise secret prints. " +
			"The first seals, what others sealed is still opened: to change the secret, add the new one " +
			"behind the old on every node, then " +
			"before it, then remove the old. Without any it is derived from the key of the first " +
			"listener, which all nodes must then share: that is refused with client " +
			"certificates and with session-store, because anyone who has that key could act as a node",
		set: func(b *builder, value string) error {
			b.config.ClusterSecretFiles = append(b.config.ClusterSecretFiles, value)
			b.secrets = append(b.secrets, b.now)
			return nil
		},
	},
	{
		name: "cache-replication", group: groupShare, form: "auto|push|homes|pull",
		byDefault: "auto",
		help: "which nodes hold a session: push gives it to all at once, homes to two by its " +
			"key, pull to none but its own. A node asks " +
			"for what it lacks. auto is push in fleets of a few nodes and homes in larger ones; all " +
			"nodes should have the same. push+pull is read as push",
		set: choice(func(c *Config) *ReplicationMode { return &c.Replication.Mode },
			named("auto", ReplicateAuto), named("push", ReplicatePush), named("homes",
				ReplicateHomes), named("pull", ReplicatePull),
			named("push+pull", ReplicatePush)),
	},
	{
		name: "cache-udp-interface", group: groupShare, form: "NAME",
		help: "the network interface of multicast groups, such as eth0. Set it where the default " +
			"route is not the way to the other nodes",
		set: func(b *builder,
			value string,
		) error {
			b.config.Replication.Interface = value
			return nil
		},
	},
	{
		name: "cache-udp-ttl", aliases: []string{"multicast-ttl"}, group: groupShare, form: "N",
		byDefault: "1",
		help:      "how many networks a multicast datagram may cross. 1 stays on the local one",
		set:       integer(1, 255, func(c *Config) *int { return &c.Replication.TTL }),
	},
	{
		name: "cache-udp-datagram", group: groupShare, form: sizeForm, byDefault: "1200",
		help: "the longest datagram to send, unless a single session is longer. Raise where every way " +
			"between nodes carries jumbo frames",
		set: size(576, 16<<10, func(c *Config) *int { return &c.Replication.DatagramSize }),
	},
	{
		name: "cache-udp-heartbeat", group: groupShare, form: durationForm, byDefault: "1s",
		help: "how often a node says that it lives and what it sent last. Shorter finds losses and " +
			"dead nodes sooner",
		set: duration(10*time.Millisecond, time.Minute,
			func(c *Config) *time.Duration { return &c.Replication.Heartbeat }),
	},
	{
		name: "cache-udp-dead-after", group: groupShare, form: durationForm, byDefault: "3s",
		help: "how long a node may be silent before it counts as dead and is no longer asked; more than " +
			"cache-udp-heartbeat",
		set: duration(10*time.Millisecond, time.Hour,
			func(c *Config) *time.Duration { return &c.Replication.DeadAfter }),
	},
	{
		name: "cache-join-rate", group: groupShare, form: sizeForm, byDefault: "32m",
		help: "bytes per second of existing sessions that all joining nodes together are sent. " +
			"Lower if that disturbs the network",
		set: size(4<<10, 1<<30, func(c *Config) *int { return &c.Replication.JoinRate }),
	},
	{
		name: "cache-sync", group: groupShare, form: "ADDR", repeat: true,
		help: "read for uWSGI's sake; " + syncNote,
		set:  func(b *builder, _ string) error { noteSync(b); return nil },
	},
	{
		name: "session-store", group: groupShare, form: "URL", repeat: true, mask: maskStore,
		help: "a store for sessions beyond this fleet: " + storeForms +
			". Sessions are sealed before " +
			"they leave the node. " +
			"reprise check prints a password as ***",
		set: addStore,
	},
	{
		name: "udprepeater", group: groupShare, form: "ADDR", repeat: true,
		help: "forward the datagrams of nodes whose cache-udp-node is ADDR to each other. Such a " +
			"process needs no listener and cannot read " +
			"what it forwards unless it is given the cluster secret",
		set: collect(parseRepeater, func(b *builder) *[]pendingAddress { return &b.repeaters }),
	},
	{
		name: "udprepeater-secret-file", group: groupShare, form: "FILE",
		help: "the key by which the repeater knows its subscribers, as reprise repeater-key prints it " +
			"for a cluster secret, which the " +
			"repeater then need not have",
		set: func(b *builder,
			value string,
		) error {
			b.config.RepeaterSecretFile = value
			return nil
		},
	},
}
