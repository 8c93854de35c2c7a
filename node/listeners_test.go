package node

import (
	"testing"

	"reprise/config"
)

// TestChallengesOfOthersAreReloaded: a rule for the challenges of another ACME client exempts them
// from redirection after a reload that adds it, and no longer after one that removes it.
func TestChallengesOfOthersAreReloaded(t *testing.T) {
	without := new(config.Config)
	with := &config.Config{Rules: []config.PoolRule{{Router: config.HTTPRouter, Path: "/.well-known/acme-challenge", Pool: "certbot"}}}
	for _, start := range []*config.Config{without, with} {
		n := &Node{config: start}
		for _, now := range []*config.Config{without, with} {
			h, err := n.http(now, new(config.Listener))
			if err != nil {
				t.Fatal(err)
			}
			if h.ServeChallenges != (now == with) {
				t.Errorf("started with %d rules, now with %d: challenges are served: %v", len(start.Rules), len(now.Rules), h.ServeChallenges)
			}
		}
	}
}
