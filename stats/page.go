package stats

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strings"
)

// The page at / shows the content of /status and /fleet of the same server, which the caller
// provides by Handlers. It is one document that loads nothing else.
var (
	//go:embed page/page.html
	pageFrame string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string

	page = strings.NewReplacer("/*style*/", pageStyle, "/*script*/", pageScript).Replace(pageFrame)
)

// pagePolicy lets a browser use only this script and style, and ask only this server.
var pagePolicy = "default-src 'none'; connect-src 'self'; style-src " + sourceHash(pageStyle) +
	"; script-src " + sourceHash(pageScript) +
	"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// sourceHash is the name of a text within a document in a Content-Security-Policy.
func sourceHash(text string) string {
	digest := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
}

// servePage answers GET /.
func servePage(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write([]byte(page))
}
