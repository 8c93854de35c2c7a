package node

import (
	"strings"
	"testing"

	"reprise/backend/http1"
	"reprise/config"
)

// TestConfiguredRules: the codec accepts every rule that the configuration accepts.
func TestConfiguredRules(t *testing.T) {
	names := []string{
		"X-A", "X_A", "Host", "Date", "Via", "Proxy", "TE", "Trailer", "Upgrade", "Keep-Alive", "Connection", "Expect", "Content-Length", "HTTP2-Settings",
		"Transfer-Encoding", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Forwarded", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-New",
		"X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "X-Scheme", "X-Url-Scheme", "Front-End-Https", "Client-Cert",
		"Client-Cert-Chain", "X-SSL-Client-CN", "SSL-Client-Verify", "X-Client-Cert-DN",
	}
	for _, name := range names {
		for _, name := range []string{
			name, strings.ReplaceAll(name, "-", "_"), strings.Replace(name, "-", ".", 1),
			strings.ToLower(name),
		} {
			for _, text := range []string{"set " + name + ": a", "add " + name + ": a", "remove " + name} {
				c, err := config.Parse([]string{"--http", "127.0.0.1:1", "--http-to", "http://127.0.0.1:2", "--request-header", text})
				if err != nil {
					continue
				}
				if _, err := http1.NewRules(headerRules(nil, c.HTTP.RequestHeaders)); err != nil {
					t.Errorf("%s: the codec says %v", text, err)
				}
			}
		}
	}
	for _, name := range config.HeaderVariables {
		if _, err := http1.NewRules([]http1.Rule{{Name: "X", Value: "${" + name + "}"}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
