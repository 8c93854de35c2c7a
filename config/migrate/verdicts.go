package migrate

const (
	pythonOnly = "only Python applications are started: run its uwsgi yourself and write its " +
		"socket as http-to = ADDR"
	nameNodes = "only http backends may subscribe: write each as rawrouter-to or sslrouter-to, " +
		"or a DNS name that has all their addresses"
	notSubscriber = "reprise takes subscriptions and makes none: let the uwsgi of the application " +
		"subscribe, and name nodes by address or DNS"
	toStatic = "write which hosts go where as http-use-pool = POOL host=NAME and http-pool = " +
		"POOL to=ADDR (sslrouter-, rawrouter- by sni)"
	noBits = "crypto/tls has no such switch: write tls-min-version, or CIPHERS in https and " +
		"sslrouter"
	OldTLS  = "TLS 1.2 and 1.3 are all there is: remove it"
	proxyIn = "write http-accept-proxy = CIDR (sslrouter-, rawrouter-), which says which sources must " +
		"send a PROXY header, version 1 or 2"
	otherWires = "backends are spoken to by HTTP, the uwsgi protocol or plain TCP: let the " +
		"application listen on one of these"
	OwnUser = "reprise runs as the user that started it: start it as that user, with " +
		"CAP_NET_BIND_SERVICE for ports below 1024, or say --user"
	Background = "reprise stays in the foreground: let systemd or another supervisor run it"
	toStderr   = "reprise logs to standard error: redirect that"
	unrolled   = "there is no logic in files: write it out, or name a section by FILE:SECTION"
	onlyINI    = "only INI files are read: rewrite it as one, and name that by ini = FILE"
	plainCache = "caches hold TLS sessions only: keep other items in a cache of the application"
	noDisk     = "sessions are secrets and never written to a disk; what outlives a restart is " +
		"peers and session-store"
)

// UWSGI says how uWSGI's options are treated. A name that ends in * stands for all that begin with
// it and have no row of their own.
var UWSGI = []Chapter{
	{"Listeners and TLS", []Row{
		{
			"https", Better,
			"TLS 1.2 and 1.3 with today's suites and key exchange; a PROXY header is " +
				"read before the handshake; errors of backends are answered",
		},
		{"https2", Supported, "spdy is ignored"},
		{"http", Better, "requests that can be read in two ways are refused"},
		{"http-to-https", Supported, ""},
		{
			"sslrouter sslrouter2 rawrouter", Better,
			"a half-close goes through in both ways; every " +
				"option of backends is there for all routers",
		},
		{
			"sni", Better,
			"names may be wildcards; a session resumes only under the name it was made " +
				"for; CLIENTCA holds for requests too, see below",
		},
		{"sni-dir", Supported, "read at start, not on demand"},
		{"sni-dir-ciphers", Supported, ""},
		{
			"sni-regexp", Refused,
			"names are not matched by expressions: write sni = NAME CERT,KEY for " +
				"each, or a wildcard such as *.example.com",
		},
		{
			"sslrouter-sni", Refused,
			"write sslrouter-use-pool = POOL sni=NAME and sslrouter-pool = " +
				"POOL to=ADDR",
		},
		{
			"https-session-context sslrouter-session-context", Better,
			"of any length; names given with " +
				"sni keep their sessions apart within it",
		},
		{"https-export-cert", Supported, ""},
		{
			"ssl-verify-depth", Warned,
			"a chain of any length to a CA in CLIENTCA is accepted: have " +
				"only the intended CAs in it",
		},
		{"ssl-option", Refused, noBits},
		{"ssl-enable3 ssl-enable-sslv3 ssl-enable-tlsv1", Refused, OldTLS},
		{"ssl-verbose", Ignored, "log-level = debug"},
		{"ssl-tmp-dir", Ignored, "nothing is written"},
		{
			"http-socket http11-socket", Refused,
			"write http = ADDR, which routes to the application",
		},
		{"https-socket", Refused, "write https = ADDR,CERT,KEY, which routes to the application"},
		{
			"ssl-socket suwsgi-socket", Refused,
			"write sslrouter = ADDR,CERT,KEY and sslrouter-to = the " +
				"socket of the application",
		},
		{
			"http-socket-* https-socket-* fastcgi-* scgi-* scgi-socket puwsgi-socket raw-*",
			Refused,
			otherWires,
		},
		{
			"shared-socket undeferred-shared-socket map-socket abstract-socket", Refused,
			"each router binds its own address: write it there",
		},
		{"enable-proxy-protocol http-enable-proxy-protocol http-stud-prefix", Refused, proxyIn},
		{
			"rawrouter-xclient", Refused,
			"it is for SMTP: write rawrouter-send-proxy = v1, which mail " +
				"servers read too",
		},
		{
			"chmod-socket chown-socket", Supported,
			"of the sockets of listeners, statistics and the " +
				"application; that of admin stays the owner's",
		},
		{"umask", Supported, ""},
		{"listen", Supported, "by default 1024, not 100"},
		{"reuse-port", Ignored, "each loop always has its own socket (SO_REUSEPORT)"},
		{"so-keepalive", Ignored, "idle-timeout closes what is silent"},
		{"tcp-nodelay", Ignored, "always on"},
		{"tcp-fastopen", Supported, ""},
		{"tcp-fast-open", Refused, "write tcp-fastopen = N"},
		{
			"tcp-fastopen-client tcp-fast-open-client socket-sndbuf socket-rcvbuf freebind", Warned,
			"the kernel's own setting stays",
		},
		{"no-defer-accept", Ignored, "off unless tcp-defer-accept turns it on"},
		{
			"socket-timeout so-send-timeout so-write-timeout socket-send-timeout socket-write-timeout",
			Ignored, "idle-timeout and linger-timeout",
		},
	}},
	{"Sessions and caches", []Row{
		{"cache", Better, "all N items can be used, not N-1, and memory is taken as it is needed"},
		{"cache-blocksize", Better, "an upper bound; an item takes what it needs"},
		{"cache2", Better, "see the keys below; a key that does not exist is an error"},
		{
			"ssl-sessions-use-cache ssl-session-use-cache", Better,
			"with today's OpenSSL uWSGI ignores " +
				"it. false turns resumption off; without any cache one of 20,000 items is made",
		},
		{"ssl-sessions-timeout ssl-session-timeout", Better, "counted from the full handshake, " +
			"however often the session was renewed"},
		{"cache-expire-freq", Supported, ""},
		{
			"cache-no-expire", Warned,
			"sessions end with ssl-sessions-timeout all the same: raise that",
		},
		{"cache-store cache-store-sync", Refused, noDisk},
		{"cache-report-freed-items cache-use-last-modified", Ignored, "the statistics count what " +
			"expires"},
		{"add-cache-item load-file-in-cache* check-cache", Refused, plainCache},
		{"static-cache-paths*", Passed, ""},
	}},
	{"Sharing sessions between nodes", []Row{
		{"cache-udp-server", Better, "datagrams are sealed, and what is lost is asked for again; " +
			"serves whichever cache keeps the sessions"},
		{
			"cache-udp-node", Better,
			"DNS names, IPv6 and repeaters too; a node's own address in the " +
				"list is left out",
		},
		{
			"cache-sync", Warned,
			"a node that starts fetches what it lacks from a live peer by itself",
		},
		{"multicast-ttl", Supported, "also for what is sent"},
		{"multicast-loop", Ignored, "a node drops its own datagrams"},
		{"multicast", Refused, "write cache-udp-server and cache-udp-node = GROUP:PORT"},
		{
			"subscribe-to subscribe subscribe2 subscribe-* unsubscribe-* start-unsubscribed",
			Refused,
			notSubscriber,
		},
		{
			"http-subscription-server", Better,
			"UDP; unsigned only from http-subscription-from and this " +
				"machine; rules of http-use-pool come first",
		},
		{"subscription-tolerance", Supported, ""},
		{
			"subscriptions-sign-check", Better,
			"also for unsubscribing; a packet counts once; RSA and " +
				"ECDSA keys",
		},
		{"subscriptions-sign-check-tolerance", Better, "by default an hour, not a day"},
		{
			"subscription-algo", Refused,
			"write http-balance = round-robin (wrr) or least-connections " +
				"(lrc, wlrc)",
		},
		{
			"subscriptions-credentials-check subscriptions-use-credentials subscriptions-sign-skip-uid",
			Refused, "subscriptions come by UDP, which tells no user: write subscriptions-sign-check",
		},
		{
			"subscription-mountpoint* subscription-dotsplit", Refused,
			"a domain is subscribed to as a " +
				"whole: write http-use-pool = NAME host=DOMAIN,path=/BEGINNING for parts",
		},
		{
			"rawrouter-subscription-* sslrouter-subscription-* http-subscription-* http-resubscribe",
			Refused, nameNodes,
		},
		{"subscri*", Refused, notSubscriber},
		{
			"legion* unique-legion-*", Refused,
			"there is no election: nodes are alike, and a balancer " +
				"may use any",
		},
	}},
	{"HTTP router", []Row{
		{"http-to", Better, "also http://ADDR and h2c://ADDR, weights, backups, health checks"},
		{
			"http-processes http-workers", Better,
			"one event loop per core by default, for all routers",
		},
		{"sslrouter-processes rawrouter-processes", Better, "sets the loops of all routers"},
		{
			"rawrouter-workers sslrouter-workers", Ignored,
			"http-processes sets the loops of all routers",
		},
		{
			"http-timeout http-connect-timeout http-headers-timeout", Better,
			"a client gets " +
				"408 or 504 before it is closed",
		},
		{"http-keepalive", Better, "on by default, also to http:// backends"},
		{"http-gracetime", Supported, ""},
		{"http-fallback", Refused, "write http-to = ADDR,backup"},
		{"http-chunked-input", Better, "without it a chunked body is read first, so that the " +
			"application knows its length"},
		{"http-websockets http-raw-body", Ignored, "an Upgrade that the backend accepts always " +
			"becomes a plain flow"},
		{
			"http-manage-expect", Ignored,
			"100-continue is always dealt with; http-max-body bounds what " +
				"is accepted",
		},
		{"http-auto-chunked", Ignored, "always done"},
		{"http-auto-gzip", Warned, "nothing is compressed: let the application do that"},
		{"http-server-name-as-http-host", Supported, ""},
		{
			"add-header", Better,
			"replaces a field of that name from the backend, except those of " +
				"which there may be several; response-header has more",
		},
		{"http-var", Refused, "write env = NAME=VALUE for the application"},
		{"http-modifier1 http-modifier2", Refused, "requests are sent as those of WSGI: name a " +
			"backend that tells applications apart by itself"},
		{
			"http-manage-source http-manage-rtsp", Refused,
			"it is not HTTP: write rawrouter or sslrouter",
		},
		{"http-uid http-gid", Warned, OwnUser},
		{"httprouter", Refused, "write http = ADDR"},
		{"http-use-* http-zerg", Refused, toStatic},
		{
			"http-events http-quiet http-cheap http-harakiri http-buffer-size", Ignored,
			"loops have no such limit; high-watermark bounds memory",
		},
	}},
	{"Raw and TLS routers", []Row{
		{
			"rawrouter-to sslrouter-to", Better,
			"weights, backups, health checks, the PROXY protocol",
		},
		{
			"rawrouter-gracetime sslrouter-gracetime rawrouter-max-retries sslrouter-max-retries",
			Supported,
			"",
		},
		{"rawrouter-timeout sslrouter-timeout", Supported, "counted over both directions together"},
		{"rawrouter-fallback sslrouter-fallback", Refused, "write rawrouter-to = ADDR,backup " +
			"(sslrouter-to)"},
		{"rawrouter-use-* rawrouter-zerg sslrouter-use-* sslrouter-zerg", Refused, toStatic},
		{
			"rawrouter-events rawrouter-quiet rawrouter-cheap rawrouter-harakiri rawrouter-buffer-size",
			Ignored, "loops have no such limit",
		},
		{
			"sslrouter-events sslrouter-quiet sslrouter-cheap sslrouter-harakiri sslrouter-buffer-size",
			Ignored, "loops have no such limit",
		},
	}},
	{"Statistics and logs", []Row{
		{
			"stats stats-server", Better,
			"hits are resumptions; every other outcome of a handshake has " +
				"a counter of its own",
		},
		{"http-stats http-stats-server http-ss", Better, "of all loops, not of the first process"},
		{"rawrouter-stats rawrouter-stats-server rawrouter-ss", Better, "of all loops"},
		{"sslrouter-stats sslrouter-stats-server sslrouter-ss", Better, "of all loops"},
		{"stats-http", Refused, "write admin = ADDR, which serves /stats and /metrics by HTTP"},
		{
			"stats-minified stats-min stats-no-cores stats-no-metrics", Ignored,
			"there is one document",
		},
		{
			"stats-push* snmp* carbon*", Refused,
			"write admin = ADDR and collect /metrics from there",
		},
		{"log-format", Refused, "it is how the node's own lines look; requests are logged by " +
			"access-log, access-log-format = json or combined"},
		{"logformat", Warned, "write access-log-format = json or combined"},
		{"log-format-strftime logformat-strftime", Ignored, "times are RFC 3339"},
		{"logto logto2 log-syslog logger* rsyslog*", PassedPart, toStderr},
		{"touch-logreopen touch-logrotate", Warned, "send SIGUSR1, which opens access-log again"},
		{
			"log-master log-maxsize log-backupname log-reopen log-drain logfile-*", Ignored,
			"logs go to standard error and access-log",
		},
		{"log-* logdate req-logger not-* disable-logging threaded-logger", Passed, ""},
	}},
	{"Running an application", []Row{
		{
			"module wsgi wsgi-file file callable", Supported,
			"run by a uwsgi that reprise starts and " +
				"watches; it must be installed",
		},
		{"pythonpath python-path pp virtualenv venv home pyhome env", Supported, ""},
		{"chdir", Supported, "of the application only"},
		{
			"socket uwsgi-socket", Supported,
			"of the application, beside the private one that reprise " +
				"uses",
		},
		{"protocol socket-protocol", Refused, otherWires},
		{
			"plugin plugins need-plugin need-plugins plugin-* plugins-*", Ignored,
			"routers are built in; the Python plugin is found by itself",
		},
		{"master", Supported, "nothing to turn on or off"},
		{"processes workers p threads cheaper* idle cheap harakiri* no-harakiri-* thunder-lock " +
			"lock-engine", Passed, ""},
		{"enable-threads thread* no-threads-* offload-thread* single-interpreter lazy lazy-apps " +
			"need-app no-default-app", Passed, ""},
		{"max-requests* max-worker-* min-worker-* reload-* brutal-reload-* evil-* worker-* limit-* " +
			"memory-report mem-collector-freq forkbomb-delay", Passed, ""},
		{"buffer-size post-buffering* body-read-warning max-vars max-apps max-fd upload-progress " +
			"chunked-input-* websocket*", Passed, ""},
		{"py* python-raw post-pymodule-* shared-py* wsgi-* start_response-* optimize no-site test " +
			"vhost* catch-exceptions import shared-import mount manage-script-name static-* " +
			"check-static* file-serve-mode fileserve-mode honour-range file-write check-mount* " +
			"mountpoint-check mime* route* error-* response-* final-*", Passed, ""},
		{"async ugreen gevent* asyncio* greenlet loop loop-* loops-* sharedarea* queue* signal* timer " +
			"rbtimer cron* unique-cron* mule* farm spooler* rpc-max", Passed, ""},
		{"ignore-* disable-* write-errors-* use-abort exception-* alarm* metric* enable-metrics " +
			"touch-* propagate-touch fs-* flock* profiler vacuum", Passed, ""},
		{"procname* auto-procname hook-* after-request-* exec-* call-* wait-* attach-daemon* " +
			"smart-attach-daemon* attach-control-daemon daemons-* dlopen unenv envdir early-envdir " +
			"chdir2 force-cwd pcre-jit locks ftok persistent-ipcsem collect-header pull-header " +
			"rem-header del-header remap-modifier allowed-modifiers", Passed, ""},
		{
			"paste* ini-paste* pecan django web3 pump wsgi-lite eval", Refused,
			"write module = PACKAGE.MODULE:CALLABLE or wsgi-file = FILE",
		},
		{
			"psgi perl rack ruby rails php* lua* cgi* jvm* mono* go* v8* erlang* gccgo* coroae symcall*",
			Refused, pythonOnly,
		},
	}},
	{"The process", []Row{
		{"uid gid add-gid immediate-uid immediate-gid", PassedPart, OwnUser},
		{
			"cgroup", Warned,
			"reprise does not limit itself: let the unit or the container do it",
		},
		{"chroot", Supported, "with `user`, once files are read and addresses bound"},
		{"cap drop-after-init drop-after-apps", Warned, OwnUser},
		{"daemonize daemonize2", Warned, Background},
		{
			"pidfile pidfile2 safe-pidfile safe-pidfile2", Warned,
			"no file is written: " + Background,
		},
		{"die-on-term exit-on-reload", Ignored, "SIGTERM always drains and ends, SIGHUP reloads"},
		{"strict", Ignored, "a key that does not exist is always an error"},
		{"master-fifo", Warned, "send SIGHUP to reload and SIGTERM to end"},
		{"cpu-affinity", Better, "true or false: each loop gets a core"},
		{"no-orphans reaper auto-weight weight prio never-swap ksm no-initgroups skip-zero " +
			"skip-atexit* close-on-exec* honour-stdin", Ignored, "nothing to do"},
		{"safe-fd fd-safe no-fd-passing shutdown-sockets check-interval mode master-as-root " +
			"force-gateway daemons-honour-stdin", Ignored, "nothing to do"},
		{
			"die-on-idle no-server command-mode", Refused,
			"it serves until it is told to end: remove it",
		},
		{
			"backtrace-depth log-alarm segfault-alarm backlog-alarm lq-alarm listen-queue-alarm " +
				"heartbeat notify-socket clock clock-list clocks-list autoload inherit-*",
			Ignored, "nothing to do",
		},
		{"emperor* vassal* blacklist end-blacklist whitelist end-whitelist imperial-* zerg* " +
			"early-emperor", Refused, "one process is one node: let systemd run several"},
		{"namespace* ns ns-* unshare* setns* jailed pivot-root pivot_root mount-* umount-* refork* " +
			"re-fork* cgroup*", Refused, "let systemd or a container do that"},
	}},
	{"Files", []Row{
		{"ini", Supported, "FILE, FILE:SECTION or :SECTION"},
		{"set set-placeholder set-ph", Supported, "NAME=VALUE"},
		{
			"for for-* endfor end-for if-* ifdir ifenv ifexists ifplugin endif end-if", Refused,
			unrolled,
		},
		{"inject-before inject-after xml xmlconfig yaml yml json js config config-py fallback-config " +
			"include inherit", Refused, onlyINI},
		{
			"declare-option declare-option2 resolve", Refused,
			"write the value as a key of its own and " +
				"use it by %(KEY)",
		},
		{
			"print iprint show-config dump-options", Ignored,
			"reprise check prints the configuration",
		},
	}},
}

// CacheKeys says how the keys of cache2 are treated.
var CacheKeys = Chapter{"Keys of cache2", []Row{
	{"name", Supported, "each name once"},
	{"items max_items maxitems", Better, "all of them can be used; max-items, as uWSGI's " +
		"documentation spells it, works too"},
	{"keysize key_size", Better, "an upper bound; a session's key takes 16 bytes"},
	{"blocksize", Better, "an upper bound; an item takes what it needs"},
	{
		"node nodes udp udp_server udp_servers udpserver udpservers", Better,
		"sealed; in force only in the cache of the TLS sessions",
	},
	{"sync", Warned, "a node that starts fetches what it lacks from a live peer by itself"},
	{
		"blocks bitmap", Ignored,
		"memory comes in the pieces that items need; blocksize bounds an item",
	},
	{"hash hashsize hash_size", Ignored, "the index grows with the items and is keyed against " +
		"chosen collisions"},
	{
		"lru purge_lru sweep_on_full clear_on_full ignore_full", Ignored,
		"a full cache always drops " +
			"its oldest entries",
	},
	{"lazy lazy_expire", Ignored, "an expired session is never resumed, swept or not"},
	{"no_expire", Warned, "sessions end with ssl-sessions-timeout all the same: raise that"},
	{"lastmod math_initial", Ignored, "sessions are neither changed nor counted in"},
	{"store store_sync storesync store_delete storedelete", Refused, noDisk},
}}
