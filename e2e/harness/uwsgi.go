package harness

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
)

// EchoApplication answers with its environment and the SHA-256 of the body, read
// as the path says, or with a file.
const EchoApplication = `
import hashlib, json

def read(env):
    chunk = env["wsgi.input"].read(1 << 16)
    while chunk:
        yield chunk
        chunk = env["wsgi.input"].read(1 << 16)

def read_chunked(env):
    import uwsgi
    chunk = uwsgi.chunked_read()
    while chunk:
        yield chunk
        chunk = uwsgi.chunked_read()

def application(env, start_response):
    path = env["PATH_INFO"]
    if path.startswith("/file"):
        fields = [("Content-Length", env["HTTP_X_LENGTH"])] if path == "/file-length" else []
        start_response("200 OK", fields)
        return env["wsgi.file_wrapper"](open(env["HTTP_X_FILE"], "rb"), 1 << 16)
    digest, size = hashlib.sha256(), 0
    for chunk in (read_chunked if path == "/chunked" else read)(env):
        digest.update(chunk)
        size += len(chunk)
    answer = {k: v for k, v in env.items() if isinstance(v, str)}
    answer["body"], answer["size"] = digest.hexdigest(), str(size)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
`

// AskUWSGI makes a request and returns its environment in the application.
func AskUWSGI(t *testing.T, client *http.Client, method, url string, body io.Reader,
	fields ...string,
) map[string]string {
	t.Helper()
	resp, text, err := Fetch(client, method, url, body, fields...)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("got %+v %q, %v", resp, text, err)
	}
	return DecodeJSON[map[string]string](t, text)
}

// OpenSSLNames reports whether name is OpenSSL's for a suite that Go calls by its
// registered name: ECDHE-ECDSA-AES128-GCM-SHA256, TLS_AES_128_GCM_SHA256.
func OpenSSLNames(id uint16, name string) bool {
	want := tls.CipherSuiteName(id)
	if strings.Contains(want, "_WITH_") {
		want = strings.NewReplacer("TLS_", "", "_WITH_", "-", "AES_", "AES",
			"CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", "_", "-").Replace(want)
	}
	return name == want
}
