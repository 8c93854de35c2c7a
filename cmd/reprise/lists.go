package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"reprise/node"
)

// listCommand prints a list of a node.
func listCommand[T any](command, usage, path string, args []string, stdout io.Writer,
	table func([]T) table,
) error {
	flags := newAdminFlags(command, usage+"\n\n  reprise "+command+"\n\n").withJSON()
	if helped, err := flags.parseAlone(args, stdout); helped || err != nil {
		return err
	}
	return list(flags, path, stdout, table)
}

func poolsCommand(args []string, stdout io.Writer) error {
	return listCommand("pools", "Show the pools of backends of a node.", "/pools", args, stdout,
		poolTable)
}

func poolTable(rows []node.PoolRow) table {
	t := table{
		titles: []string{
			"ROUTER", "POOL", "LIVE", ">UP", ">BACKENDS", ">ACTIVE", ">QUEUED",
			">REFUSED",
		},
		empty: "no pools",
	}
	for _, r := range rows {
		t.add(r.Router, r.Pool, yesNo(r.Live), r.Up, r.Backends, r.Active, r.Queued, r.Refused)
	}
	return t
}

func peersCommand(args []string, stdout io.Writer) error {
	usage := "Show the nodes that a node shares sessions with, or is configured to, and what it knows of them."
	return listCommand("peers", usage, "/peers", args, stdout, peerTable)
}

func peerTable(rows []node.PeerRow) table {
	t := table{
		titles: []string{"PEER", "ADDRESS", "STATE", ">ROUND TRIP", ">LAG P99", ">LOST"},
		empty:  "no peers: this node shares sessions with no other",
	}
	for _, r := range rows {
		t.add(r.Name, r.Address, r.State, brief(r.RTT), brief(r.Lag), r.Lost)
	}
	return t
}

func certificatesCommand(args []string, stdout io.Writer) error {
	usage := "Show the certificates that a node offers, and when they end."
	return listCommand("certificates", usage, "/certificates", args, stdout,
		func(rows []node.CertificateRow) table {
			t := table{
				titles: []string{"LISTENER", "NAME", ">DAYS LEFT", "UNTIL", "FILE"},
				empty:  "no certificates",
			}
			for _, r := range rows {
				left := time.Until(r.NotAfter).Hours() / 24
				until := r.NotAfter.Format(time.DateOnly)
				t.add(r.Listener, cmp.Or(r.Name, "(default)"), fmt.Sprintf("%.0f", left), until,
					r.File)
			}
			return t
		})
}

func sessionsCommand(args []string, stdout io.Writer) error {
	usage := "Count the sessions in a node's memory, by the name they were made under and by age."
	return listCommand("sessions", usage, "/sessions", args, stdout,
		func(rows []node.SessionRow) table {
			t := table{
				titles: []string{
					"NAME", ">SESSIONS", ">< 1m", ">< 10m", ">< 1h", ">< 6h", ">OLDER",
					">OLDEST",
				},
				empty: "no sessions",
			}
			for _, r := range rows {
				a := r.Ages
				oldest := time.Duration(r.Oldest * float64(time.Second)).Round(time.Second)
				t.add(r.Name, r.Sessions, a[0], a[1], a[2], a[3], a[4], oldest)
			}
			return t
		})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// brief writes seconds with three digits; "" for 0.
func brief(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}
