package config

// limitOptions bound what clients of one address may take.
var limitOptions = []option{
	{
		name: "client-connections", group: groupClients, form: "N", byDefault: "0",
		help: "connections that a client (client-prefix) may have at the same time, over all " +
			"listeners; more are reset. 0 is without limit, " +
			"as it has to be where all clients come through one proxy that sends no PROXY header",
		set: integer(0, 1<<30, func(c *Config) *int { return &c.Limits.Connections }),
	},
	{
		name: "client-handshakes", group: groupClients, form: rateForm, byDefault: "0",
		help: "full TLS handshakes that a client may make per second in the long run, and at once " +
			"(BURST, by default as many as per second); more are reset. " +
			"Resumed ones are not counted. 0 is without limit",
		set: fill(func(c *Config) *Rate { return &c.Limits.Handshakes }, parseRate),
	},
	{
		name: "client-requests", group: groupClients, form: rateForm, byDefault: "0",
		help: "HTTP requests that a client may make per second in the long run, and at once (BURST, " +
			"by default as many as per second), over all its " +
			"connections and streams; more get 429 with Retry-After. 0 is without limit",
		set: fill(func(c *Config) *Rate { return &c.Limits.Requests }, parseRate),
	},
	{
		name: "client-prefix", group: groupClients, form: "BITS4,BITS6", byDefault: "32,64",
		help: "how much of an IPv4 and of an IPv6 address tells clients apart. A subscriber has 64 " +
			"bits of IPv6 or fewer, 56 and 48 are common",
		set: setClientPrefix,
	},
	{
		name: "client-allow", group: groupClients, form: networksForm, repeat: true,
		help: "networks without limits, also inside of client-deny: CIDRs, or @ and a file with one " +
			"on each line",
		set: addClientNetworks(func(c *Config) *ClientNetworks { return &c.Limits.Allow }),
	},
	{
		name: "client-deny", group: groupClients, form: networksForm, repeat: true,
		help: "networks whose connections are reset when they are accepted, written as in client-allow",
		set:  addClientNetworks(func(c *Config) *ClientNetworks { return &c.Limits.Deny }),
	},
}

const (
	rateForm     = "N[,BURST]"
	networksForm = "CIDR,...|@FILE"
)
