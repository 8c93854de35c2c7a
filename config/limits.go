package config

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"reprise/config/source"
	"reprise/config/values"
)

// ClientLimits are what clients of one address may take.
type ClientLimits struct {
	// Connections are those of a client at the same time; 0 is without limit.
	Connections int
	// Handshakes are full ones.
	Handshakes, Requests Rate
	// Prefix4 and Prefix6 are how many bits of an address tell clients apart.
	Prefix4, Prefix6 int
	// Allow is exempt, also from Deny, whose clients are reset.
	Allow, Deny ClientNetworks
}

// Rate is how often something may happen; zero is without limit.
type Rate struct {
	// PerSecond holds in the long run.
	PerSecond int
	// Burst may happen at once; at least 1 with a PerSecond.
	Burst int
}

// ClientNetworks are networks, and the files that some of them come from.
type ClientNetworks struct {
	Networks []netip.Prefix
	Files    []string
}

// maxRate keeps the time between two events well above a nanosecond.
const maxRate = 1_000_000

// parseRate reads N[,BURST].
func parseRate(s string) (r Rate, err error) {
	perSecond, burst, stated := strings.Cut(s, ",")
	if r.PerSecond, err = values.Int(strings.TrimSpace(perSecond), 0, maxRate); err != nil {
		return r, err
	}
	if r.Burst = r.PerSecond; stated {
		if r.Burst, err = values.Int(strings.TrimSpace(burst), 1, maxRate); err != nil {
			return r, fmt.Errorf("burst %q: %w", burst, err)
		}
	}
	return r, nil
}

func setClientPrefix(b *builder, value string) error {
	bits4, bits6, stated := strings.Cut(value, ",")
	if !stated {
		return errors.New("incomplete: write bits for IPv4 and for IPv6, such as 32,64")
	}
	prefix4, err := values.Int(strings.TrimSpace(bits4), 8, 32)
	if err != nil {
		return fmt.Errorf("IPv4: %w", err)
	}
	prefix6, err := values.Int(strings.TrimSpace(bits6), 16, 64)
	if err != nil {
		return fmt.Errorf("IPv6: %w", err)
	}
	b.config.Limits.Prefix4, b.config.Limits.Prefix6 = prefix4, prefix6
	return nil
}

// maxNetworksFile bounds a file of networks: some 500,000 of them.
const maxNetworksFile = 16 << 20

// addClientNetworks makes the set function of a list of networks.
func addClientNetworks(field func(*Config) *ClientNetworks) func(*builder, string) error {
	return func(b *builder, value string) error {
		list := field(&b.config)
		file, isFile := strings.CutPrefix(value, "@")
		if !isFile {
			networks, err := parseNetworks(value, false)
			list.Networks = append(list.Networks, networks...)
			return err
		}
		data, err := b.read(file, maxNetworksFile)
		if err != nil {
			return fmt.Errorf("cannot read: %w", source.Cause(err))
		}
		list.Files = append(list.Files, file)
		for i, line := range bytes.Split(data, []byte("\n")) {
			text, _, _ := strings.Cut(string(line), "#")
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			network, err := parseNetwork(text)
			if err != nil {
				return fmt.Errorf("line %d: %w", i+1, err)
			}
			list.Networks = append(list.Networks, network)
		}
		return nil
	}
}

// checkLimits warns of limits without effect.
func (b *builder) checkLimits() {
	if b.config.TLSEngine == StandardEngine {
		b.warnUnused(
			"no effect with tls-engine = standard, which does not tell full handshakes from "+
				"others before they are made", "client-handshakes")
	}
}
