package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"reprise/config/source"
)

// groupSubscribe is the heading of the options about subscriptions.
const groupSubscribe = "Backends that subscribe (uWSGI's subscription protocol)"

// subscriptionOptions say which servers may become backends at run time. Names are uWSGI's, except
// http-subscription-from and http-subscription-sockets.
var subscriptionOptions = []option{
	{
		name: "http-subscription-server", group: groupSubscribe, form: "ADDR", repeat: true,
		help: "receive at this UDP address what a uwsgi with subscribe-to = ADDR:DOMAIN sends: " +
			"requests for DOMAIN that no http-use-pool matches " +
			"then go to it, balanced and checked as http-to. It must be one that only your own servers " +
			"can reach",
		set: collect(parseRepeater,
			func(b *builder) *[]pendingAddress { return &b.subscriptionServers }),
	},
	{
		name: "http-subscription-from", group: groupSubscribe, form: "CIDR,...", repeat: true,
		help: "networks, such as 10.0.0.0/8, whose subscriptions need no signature, beside this " +
			"machine itself. UDP's source addresses can be " +
			"forged: write none that others can send from",
		set: func(b *builder, value string) error {
			networks, err := parseNetworks(value, false)
			b.config.Subscriptions.From = append(b.config.Subscriptions.From, networks...)
			return err
		},
	},
	{
		name: "http-subscription-sockets", group: groupSubscribe, form: "DIR", repeat: true,
		help: "take unix sockets that lie in this directory for backends, from subscribers of this " +
			"machine; without it none are taken. A subscriber can then get requests sent to any " +
			"socket there, with this process's permissions, and to where links there lead",
		set: func(b *builder, value string) error {
			if !filepath.IsAbs(value) || filepath.Clean(value) == "/" {
				return errors.New(
					"bad value: write the absolute path of a directory for the sockets " +
						"of applications, such as /run/applications")
			}
			s := &b.config.Subscriptions
			s.Sockets = append(s.Sockets, filepath.Clean(value))
			return nil
		},
	},
	{
		name: "subscriptions-sign-check", group: groupSubscribe, form: "DIGEST:DIR",
		help: "check signatures of subscriptions: DIGEST is sha256, sha1, sha384 or sha512, DIR has " +
			"the public key of each domain as DOMAIN.pem. " +
			"Every subscription must then be signed, wherever it comes from",
		set: func(b *builder, value string) (err error) {
			s := &b.config.Subscriptions
			b.signCheck = b.now
			s.Digest, s.KeyDir, err = parseSignCheck(value)
			return err
		},
	},
	{
		name: "subscriptions-sign-check-tolerance", group: groupSubscribe, form: durationForm,
		byDefault: "1h",
		help: "how old the first signed subscription of a backend may be, so that one recorded long " +
			"ago is of no use. Must be more than clocks differ",
		set: duration(time.Second, week,
			func(c *Config) *time.Duration { return &c.Subscriptions.KeyTolerance }),
	},
	{
		name: "subscription-tolerance", group: groupSubscribe, form: durationForm, byDefault: "17s",
		help: "how long a backend that has not announced itself again is kept; uwsgi does so every 10 " +
			"s. Lower with uwsgi's subscribe-freq",
		set: duration(time.Second, time.Hour,
			func(c *Config) *time.Duration { return &c.Subscriptions.Tolerance }),
	},
}

// loopback holds the networks of this machine itself.
var loopback = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("::1/128"),
}

// parseSignCheck reads DIGEST:DIR.
func parseSignCheck(value string) (digest, dir string, err error) {
	digest, dir, _ = strings.Cut(value, ":")
	digest = strings.ToLower(strings.TrimSpace(digest))
	if !slices.Contains([]string{"sha1", "sha256", "sha384", "sha512"}, digest) || dir == "" {
		return "", "", errors.New("bad value: write sha256:DIR, or sha1, sha384, sha512 as the " +
			"subscribers sign")
	}
	switch info, err := os.Stat(dir); {
	case err != nil:
		return "", "", fmt.Errorf("cannot read %s: %w", dir, source.Cause(err))
	case !info.IsDir():
		return "", "", fmt.Errorf("%s is not a directory: name the one with the keys", dir)
	}
	return digest, dir, nil
}

// subscribes reports whether backends of r may subscribe.
func (b *builder) subscribes(r Router) bool {
	return r == HTTPRouter && len(b.subscriptionServers) > 0
}

// resolveSubscriptions checks that some senders can subscribe, but not all.
func (b *builder) resolveSubscriptions() {
	s := &b.config.Subscriptions
	s.Servers = addressesOf(b.subscriptionServers)
	if len(s.Servers) == 0 {
		b.warnGroup(groupSubscribe, "no effect without http-subscription-server")
		return
	}
	if !b.hasListener(func(l Listener) bool { return l.Router == HTTPRouter }) {
		b.warnf(b.subscriptionServers[0].from, "no effect without %s", listenersOf[HTTPRouter])
	}
	if s.Digest != "" {
		b.warnUnused("no effect: with subscriptions-sign-check every subscription is signed",
			"http-subscription-from")
		return
	}
	b.warnUnused("no effect without subscriptions-sign-check", "subscriptions-sign-check-tolerance")
	for _, server := range b.subscriptionServers {
		ip, err := netip.ParseAddr(server.Host)
		local := server.Host == "localhost" || err == nil && ip.IsLoopback()
		if !local && len(s.From) == 0 {
			b.fail(server.from.errorf(
				"anyone who reaches it would get the clients of any domain: add " +
					"http-subscription-from = CIDR, or " +
					"subscriptions-sign-check = sha256:DIR"))
		}
	}
	s.From = append(slices.Clone(s.From), loopback...)
}
