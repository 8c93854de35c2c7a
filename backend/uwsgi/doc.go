// Package uwsgi writes requests in the uwsgi protocol, which uWSGI and other application servers
// speak with the router in front of them. Answers are plain HTTP, as package http1 reads it.
//
// # Wire format
//
// A request is a packet, then the body as it is:
//
//	offset  bytes
//	     0      1  modifier1: 0, a request for a WSGI application
//	     1      2  size of the variables, little endian
//	     3      1  modifier2: 0
//	     4   size  variables, each a key and a value; each of those its length
//	               in two bytes, little endian, and its bytes
//
// uWSGI takes packets of up to 4 KiB unless its buffer-size says otherwise.
//
// # Variables
//
// Those of uWSGI's own router, in its order:
//
//	REQUEST_METHOD PATH_INFO REQUEST_URI QUERY_STRING SERVER_PROTOCOL
//	SCRIPT_NAME (empty) SERVER_NAME SERVER_PORT UWSGI_ROUTER (http)
//	HTTPS (on)                 with TLS, like the next
//	HTTPS_CLIENT_CERTIFICATE   DER; with a client certificate, like the next two
//	HTTPS_DN                   /CN=client1/O=Acme
//	HTTPS_CC                   PEM, if asked for
//	REMOTE_ADDR REMOTE_PORT
//	CONTENT_LENGTH CONTENT_TYPE HTTP_*
//
// and, with TLS, before REMOTE_ADDR:
//
//	SSL_CLIENT_S_DN            O=Acme,CN=client1, as in RFC 4514
//	SSL_CLIENT_I_DN            the same of the issuer
//	SSL_CLIENT_M_SERIAL        hex
//	SSL_CLIENT_FINGERPRINT     SHA-256 of the DER, hex
//	SSL_PROTOCOL               TLSv1.3
//	SSL_CIPHER                 TLS_AES_128_GCM_SHA256
//	SSL_SESSION_RESUMED        Initial or Resumed, as Apache's mod_ssl has it
//	SSL_SERVER_NAME            SNI, if there was one
//	SSL_CLIENT_VERIFY          NONE or SUCCESS
//
// # What a client cannot do
//
// Set a variable of its choice, since all fields but Content-Type get a prefix. Have a field taken
// for another: a name with bytes other than letters, digits and hyphens is left out, as nginx does,
// because Foo_Bar, Foo.Bar and Foo-Bar are the same to some applications. Be taken for a proxy:
// Forwarded and X-Forwarded-* come through from trusted clients only, for uWSGI itself takes
// wsgi.url_scheme from the latter. Choose the application's proxy: the field Proxy (CVE-2016-5385)
// and those of one hop are left out.
//
// # The path
//
// PATH_INFO is decoded, REQUEST_URI is not. Paths that servers read in different ways are refused:
//
//   - a percent sign without two hex digits, which uWSGI's router turns into a NUL
//   - NUL, which ends the path for programs written in C
//   - a segment "..", however encoded: uWSGI's router resolves it before it
//     decodes the path, nginx afterwards
package uwsgi
