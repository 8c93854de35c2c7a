package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// PrintRoutes writes where connections and requests go: a line for each rule and one for the rest,
// or nothing if there are no rules.
func (c *Config) PrintRoutes(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range Routers {
		rules := 0
		for _, rule := range c.Rules {
			if rule.Router == r {
				rules++
				fmt.Fprintf(table, "%s\t%s\t-> %s\n", r, rule.conditions(),
					c.describePool(r, rule.Pool))
			}
		}
		if r == HTTPRouter && len(c.Subscriptions.Servers) > 0 {
			rules++
			fmt.Fprintf(table, "%s\thosts that backends subscribe to at %s\t-> those backends\n", r,
				c.Subscriptions.Servers[0])
		}
		if rules > 0 {
			fmt.Fprintf(table, "%s\tall else\t-> %s\n", r, c.describePool(r, ""))
		}
	}
	return table.Flush()
}

// conditions says what the rule matches.
func (r *PoolRule) conditions() string {
	var list []string
	for _, c := range [][2]string{{"SNI", r.SNI}, {"host", r.Host}, {"path", r.Path}} {
		if c[1] != "" {
			list = append(list, c[0]+" "+c[1])
		}
	}
	return strings.Join(list, ", ")
}

// describePool returns the name of the pool and its backends.
func (c *Config) describePool(r Router, name string) string {
	p, shown := c.PoolOf(r), "pool "+defaultPool
	for i := range c.NamedPools {
		if c.NamedPools[i].Router == r && c.NamedPools[i].Name == name {
			p, shown = &c.NamedPools[i].Pool, "pool "+name
		}
	}
	var backends []string
	for _, b := range p.Backends {
		backends = append(backends, b.Text)
	}
	switch {
	case len(backends) > 0:
		return shown + " (" + strings.Join(backends, " ") + ")"
	case r == HTTPRouter && !c.Application.IsZero():
		return shown + " (the application)"
	case r == HTTPRouter:
		return "404"
	default:
		return "closed"
	}
}
