package node

import (
	"reprise/config"
	"reprise/internal/clientlimit"
)

// limitPolicy bounds what clients of one address may take.
func limitPolicy(c *config.ClientLimits) *clientlimit.Policy {
	return &clientlimit.Policy{
		Connections: c.Connections, Handshakes: clientlimit.Rate(c.Handshakes),
		Requests: clientlimit.Rate(c.Requests),
		Prefix4:  c.Prefix4, Prefix6: c.Prefix6,
		Allow: clientlimit.NewNetworks(c.Allow.Networks),
		Deny:  clientlimit.NewNetworks(c.Deny.Networks),
	}
}
