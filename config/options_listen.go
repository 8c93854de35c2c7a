package config

import (
	"crypto/tls"
	"fmt"

	"reprise/config/values"
)

// listenOptions say where clients connect, and with which TLS.
var listenOptions = []option{
	{
		name: "https", group: groupListen, form: "ADDR,CERT,KEY,...", repeat: true,
		help: "answer HTTPS on ADDR by the http-to backends: " + tlsForm +
			". CIPHERS is an OpenSSL " +
			"list of TLS 1.2 suites; CLIENTCA a PEM " +
			"file: clients may send a certificate, or must with ! before the file",
		set: addTLS(HTTPRouter),
	},
	{
		name: "https2", group: groupListen, form: "KEY=VALUE,...", repeat: true,
		help: "the same as addr=,cert=,key=,ciphers=,clientca=,context=. Repeat cert and key to serve " +
			"RSA and ECDSA side by side",
		set: addTLS2(HTTPRouter),
	},
	{
		name: "http", group: groupListen, form: "ADDR", repeat: true,
		help: "answer HTTP without TLS on ADDR by the http-to backends",
		set:  addPlain(HTTPRouter),
	},
	{
		name: "http-to-https", group: groupListen, form: "ADDR[,PORT]", repeat: true,
		help: "answer each HTTP request on ADDR by sending the client to https at PORT (443) of the " +
			"same host",
		set: addRedirect,
	},
	{
		name: "sslrouter", group: groupListen, form: "ADDR,CERT,KEY,...", repeat: true,
		help: "terminate TLS on ADDR and relay the plaintext, whatever it is, to the sslrouter-to " +
			"backends: " + tlsForm + ", as for https",
		set: addTLS(SSLRouter),
	},
	{
		name: "sslrouter2", group: groupListen, form: "KEY=VALUE,...", repeat: true,
		help: "the same as addr=,cert=,key=,ciphers=,clientca=,alpn=,context=. Repeat cert and key to " +
			"serve RSA and ECDSA side by side; " +
			"separate protocols in alpn by semicolons",
		set: addTLS2(SSLRouter),
	},
	{
		name: "rawrouter", group: groupListen, form: "ADDR", repeat: true,
		help: "relay TCP on ADDR as it is to the rawrouter-to backends, such as a fleet of nodes that " +
			"terminate TLS",
		set: addPlain(RawRouter),
	},
	{
		name: "sni", group: groupListen, form: "NAME CERT,KEY,...", repeat: true,
		help: "a certificate for clients that ask for NAME, such as www.example.com or *.example.com, " +
			"on every TLS listener: " + sniForm +
			". Repeat NAME to serve RSA and ECDSA side by side; what is left out is as on the listener",
		set: addSNI,
	},
	{
		name: "ssl-client-crl", group: groupListen, form: "FILE", repeat: true,
		help: "certificates that client CAs have revoked, PEM or DER. With it each certificate of a " +
			"client's chain needs a list of its " +
			"issuer that has not expired, else the client is refused. Read again by a reload",
		set: func(b *builder, value string) error {
			b.config.ClientCRLs = append(b.config.ClientCRLs, value)
			b.crls = append(b.crls, b.now)
			return nil
		},
	},
	{
		name: "sni-nomatch-abort", group: groupListen, form: "BOOL|unknown", byDefault: "false",
		optional: true,
		help: "end handshakes that ask for a name without a certificate, or for none; unknown spares " +
			"those that ask for none, as hitch " +
			"does. Else they get the certificate of the listener, whose own names count as known",
		set: fill(func(c *Config) *NameStrictness { return &c.NameStrictness }, parseStrictness),
	},
	{
		name: "sslrouter-alpn", group: groupListen, form: "PROTOCOL,...",
		help: "protocols that sslrouter listeners negotiate, most wanted first, such as h2,http/1.1. " +
			"The backends must speak all of them",
		set: func(b *builder, value string) (err error) {
			b.alpn, err = parseALPN(value, ",")
			return err
		},
	},
	{
		name: "tls-min-version", aliases: []string{"ssl-min-version"}, group: groupListen,
		form: "1.2|1.3", byDefault: "1.2",
		help: "the oldest TLS version offered. 1.3 shuts out clients from before about 2018",
		set: choice(func(c *Config) *uint16 { return &c.MinVersion },
			named("1.2", uint16(tls.VersionTLS12)), named("1.3", uint16(tls.VersionTLS13))),
	},
	{
		name: "tls-engine", group: groupListen, form: "own|standard", byDefault: string(OwnEngine),
		help: "what speaks TLS: own is this program's engine, standard is Go's standard library, " +
			"which does not resume by session ID. All nodes of a fleet must use the same, or clients " +
			"that change nodes do not resume",
		set: choice(func(c *Config) *TLSEngine { return &c.TLSEngine }, named("own", OwnEngine),
			named("standard", StandardEngine)),
	},
	{
		name: "watch", group: groupListen, form: boolForm, byDefault: "false", optional: true,
		help: "read certificates, keys, client CAs, revocation lists and secrets again when their " +
			"files change, as SIGHUP does",
		set: boolean(func(c *Config) *bool { return &c.Watch }),
	},
	{
		name: "master", group: groupListen, form: boolForm, byDefault: "true", optional: true,
		help: "read for uWSGI's sake; there is one process, which does what uWSGI's master does",
		set:  boolean(func(*Config) *bool { return new(bool) }),
	},
}

// parseStrictness reads sni-nomatch-abort.
func parseStrictness(s string) (NameStrictness, error) {
	if s == string(NotUnknown) {
		return NotUnknown, nil
	}
	strict, err := values.Bool(s)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w, or unknown", err)
	case strict:
		return OnlyKnown, nil
	}
	return AnyName, nil
}
