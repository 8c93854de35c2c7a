package config

import (
	"log/slog"
)

// observeOptions say how to see what the node does.
var observeOptions = []option{
	{
		name: "stats", aliases: []string{"stats-server"}, group: groupObserve, form: "ADDR",
		help: "send a JSON document of statistics to each client that connects to ADDR, and close",
		set:  address(func(c *Config) *Address { return &c.Stats }),
	},
	{
		name: "admin", group: groupObserve, form: "ADDR", repeat: true,
		help: "serve /stats, /metrics (Prometheus), /healthz, /readyz and a page to look at by HTTP " +
			"on ADDR, and obey the commands that change " +
			"something. A unix socket obeys its owner and root. By TCP a command needs admin-token-file, " +
			"while anyone may read. Without a unix " +
			"socket here there is one at " + DefaultAdmin +
			", where that directory is there and may be " +
			"written to",
		set: addAdmin,
	},
	{
		name: "admin-token-file", group: groupObserve, form: "FILE",
		help: "the token in FILE lets commands change something and see sessions over admin by TCP. " +
			"reprise secret makes one",
		set: func(b *builder, value string) error { b.config.AdminTokenFile = value; return nil },
	},
	{
		name: "admin-host", group: groupObserve, form: "NAME", repeat: true,
		help: "answer requests on admin whose Host is NAME too, besides IP addresses, localhost, this " +
			"machine's name and that of admin: any " +
			"other may come from a web page in a browser. Write the name by which Prometheus asks",
		set: addAdminHost,
	},
	{
		name: "pprof", group: groupObserve, form: boolForm, byDefault: "false", optional: true,
		help: "serve Go's profiles on admin under /debug/pprof. Turn on to find lost time or memory",
		set:  boolean(func(c *Config) *bool { return &c.Pprof }),
	},
	{
		name: "name", aliases: []string{"node-name"}, group: groupObserve, form: "TEXT",
		help: "what this node calls itself in statistics and logs",
		set:  func(b *builder, value string) error { b.config.Name = value; return nil },
	},
	{
		name: "log-level", group: groupObserve, form: "debug|info|warn|error", byDefault: "info",
		help: "the least severe lines that are logged",
		set: choice(func(c *Config) *slog.Level { return &c.LogLevel },
			named("debug", slog.LevelDebug), named("info", slog.LevelInfo), named("warn",
				slog.LevelWarn), named("error", slog.LevelError)),
	},
	{
		name: "log-format", group: groupObserve, form: "text|json", byDefault: "text",
		help: "how log lines are written",
		set: choice(func(c *Config) *string { return &c.LogFormat }, named("text", "text"),
			named("json",
				"json")),
	},
	{
		name: "access-log", group: groupObserve, form: "FILE|-",
		help: "write a line for each request and relayed connection to the end of FILE, or to " +
			"standard output; SIGUSR1 opens it again, for " +
			"programs that rotate it",
		set: func(b *builder, value string) error { b.config.AccessLog.File = value; return nil },
	},
	{
		name: "access-log-format", group: groupObserve, form: "json|combined", byDefault: "json",
		help: "how these lines are written: JSON objects, or as Apache does with more behind it. " +
			"combined suits older log analysers",
		set: choice(func(c *Config) *string { return &c.AccessLog.Format }, named("json", "json"),
			named("combined", "combined")),
	},
	{
		name: "access-log-sample", group: groupObserve, form: "N", byDefault: "1",
		help: "write one line out of N. Raise if the log costs too much",
		set:  integer(1, 1<<30, func(c *Config) *int { return &c.AccessLog.Sample }),
	},
}
