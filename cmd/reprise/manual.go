package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"reprise/config"
)

// manual prints the manual page, made from the tables that the program itself uses.
func manual(args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return errors.New("manual: it takes no arguments: write reprise manual | man -l -")
	}
	var out strings.Builder
	fmt.Fprintf(&out, `.TH REPRISE 8 "" "Reprise %s" "System administration"
.SH NAME
reprise \- terminate TLS, and let clients resume their sessions at any node of a fleet
.SH SYNOPSIS
.B reprise
[\fIFILE.ini\fR] [\fB\-\-OPTION\fR \fIVALUE\fR]...
.br
.B reprise
\fICOMMAND\fR [\fIARGUMENT\fR]...
.SH DESCRIPTION
Without a command Reprise serves in the foreground, by the options of the command line and of the files
named there. Each option is also a key of a file, under [reprise] or [uwsgi], as in: idle\-timeout = 2m.
.PP
ADDR is host:port, :port, [v6]:port or /unix/path. DURATION is seconds, or such as 250ms, 2m or "1min 30s".
SIZE is bytes, or such as 64k, 16m or 1g.
.SH COMMANDS
`, roff(version))
	for _, c := range commands() {
		name, args, _ := strings.Cut(strings.TrimPrefix(c.synopsis(), "reprise "), " ")
		fmt.Fprintf(&out, ".TP\n\\fB%s\\fR %s\n%s.\n", roff(name), roff(args), roff(c.summary))
	}
	out.WriteString(".PP\n\\fBreprise help\\fR \\fICOMMAND\\fR explains one of them.\n.SH OPTIONS\n")
	group := ""
	for _, o := range config.Options() {
		if o.Group != group {
			group = o.Group
			fmt.Fprintf(&out, ".SS %s\n", roff(group))
		}
		writeOption(&out, o)
	}
	out.WriteString(manualEnd)
	_, err := io.WriteString(stdout, out.String())
	return err
}

func writeOption(out *strings.Builder, o config.Option) {
	value := " \\fI" + roff(o.Form) + "\\fR"
	if o.Optional {
		value = "[=\\fI" + roff(o.Form) + "\\fR]"
	}
	fmt.Fprintf(out, ".TP\n\\fB\\-\\-%s\\fR%s\n%s.\n", roff(o.Name), value,
		roff(strings.TrimSuffix(o.Help, ".")))
	if o.Default != "" {
		fmt.Fprintf(out, "The default is %s.\n", roff(o.Default))
	}
	if o.Repeat {
		out.WriteString("It may stand several times.\n")
	}
	if len(o.Aliases) > 0 {
		fmt.Fprintf(out, "Also called %s.\n", roff(strings.Join(o.Aliases, ", ")))
	}
}

const manualEnd = `.SH SIGNALS
.TP
\fBSIGTERM\fR, \fBSIGINT\fR
drain and end; a second one ends at once.
.TP
.B SIGHUP
reload the configuration and the files that it names.
.TP
.B SIGUSR1
open the access log again.
.TP
.B SIGUSR2
upgrade: start the program anew, which takes over.
.SH EXIT STATUS
.TP
.B 0
ended as it was told to.
.TP
.B 1
failed at run time.
.TP
.B 2
the configuration is wrong, or something that it names.
.SH FILES
.TP
.I /etc/reprise/reprise.ini
the configuration of the package's service, and where commands look for the admin address.
.TP
.I /run/reprise/admin.sock
where the commands reach a node, unless its configuration has another address.
.SH SEE ALSO
.BR openssl (1),
.BR systemctl (1),
.BR uwsgi (1)
`

// roff escapes text so that troff reads no request or macro in it.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
