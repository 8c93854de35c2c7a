package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"time"

	"reprise/node"
)

const whyUsage = `Explain why the last handshakes of a client at one node resumed a session, or did not.

  reprise why CLIENT-ADDRESS

The node remembers some thousand handshakes, a few of each client. With accept-proxy the
address is the one that the PROXY header names.

`

// whyCommand asks a node about the last handshakes of a client.
func whyCommand(args []string, stdout io.Writer) error {
	flags := newAdminFlags("why", whyUsage).withJSON()
	if helped, err := flags.parse(args, stdout); helped || err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("why: say the address of one client")
	}
	client, err := netip.ParseAddr(flags.Arg(0))
	if err != nil {
		both, err := netip.ParseAddrPort(flags.Arg(0)) // the form of the logs
		if err != nil {
			return fmt.Errorf("why: bad address %q: write an IP address", flags.Arg(0))
		}
		client = both.Addr()
	}
	return list(flags, "/why?"+url.Values{"client": {client.String()}}.Encode(), stdout, whyTable)
}

func whyTable(rows []node.WhyRow) table {
	t := table{
		titles: []string{"TIME", "NAME", "VERSION", ">TOOK", "WHY"},
		empty:  "the node remembers no handshake of this client: it did not connect lately, or others have since",
	}
	for _, r := range rows {
		t.add(r.At.Local().Format(time.DateTime), r.Name, r.Version, brief(r.Took), r.Words)
	}
	return t
}
