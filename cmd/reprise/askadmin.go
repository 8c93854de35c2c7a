package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"reprise/config"
	"reprise/node"
)

const (
	// defaultConfig has the admin address if no other file is named.
	defaultConfig = "/etc/reprise/reprise.ini"
	// configVariable and tokenVariable name the files if no flag does.
	configVariable = "REPRISE_CONFIG"
	tokenVariable  = "REPRISE_ADMIN_TOKEN_FILE"
)

// A refusedError says that a node understood a request but did not carry it out, or only in part.
type refusedError struct{ text string }

func (e refusedError) Error() string { return e.text }

// adminFlags are the flags of every command that asks a node; they name the node.
type adminFlags struct {
	*pflag.FlagSet
	usage              string
	admin, file, token string
	json               bool
}

// newAdminFlags returns the flags of a command. Its help prints usage above them.
func newAdminFlags(command, usage string) *adminFlags {
	f := &adminFlags{FlagSet: pflag.NewFlagSet(command, pflag.ContinueOnError), usage: usage}
	f.Usage = func() {}
	f.StringVar(&f.admin, "admin", "",
		"admin address of the node, host:port or /unix/path (default: the configuration's)")
	f.StringVar(&f.file, "config", "",
		"the node's configuration (default: $"+configVariable+", else "+defaultConfig+")")
	f.StringVar(&f.token, "admin-token-file", "",
		"token for host:port (default: $"+tokenVariable+", else the configuration's)")
	return f
}

// withJSON adds --json.
func (f *adminFlags) withJSON() *adminFlags {
	f.BoolVar(&f.json, "json", false, "print JSON")
	return f
}

// parse reads args; helped reports that they asked for help, which was printed.
func (f *adminFlags) parse(args []string, stdout io.Writer) (helped bool, err error) {
	err = f.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = fmt.Fprint(stdout, f.usage+f.FlagUsages())
		return true, err
	}
	return false, err
}

// parseAlone is parse for a command that takes no arguments.
func (f *adminFlags) parseAlone(args []string, stdout io.Writer) (helped bool, err error) {
	helped, err = f.parse(args, stdout)
	if err == nil && !helped && f.NArg() > 0 {
		err = fmt.Errorf(
			"%s: it takes no arguments: --admin ADDR or --config FILE names the node", f.Name())
	}
	return helped, err
}

// An admin is the admin server of a node.
type admin struct {
	command string // for errors
	address string
	token   []byte // nil if none is needed, or none is known
	http    http.Client
}

// node returns the admin server that the flags, the environment or the configuration name.
func (f *adminFlags) node() (*admin, error) {
	a := &admin{command: f.Name(), address: f.admin, http: http.Client{Timeout: 30 * time.Second}}
	file, token := first(f.file, os.Getenv(configVariable)),
		first(f.token, os.Getenv(tokenVariable))
	if _, err := os.Stat(defaultConfig); file == "" && err == nil {
		file = defaultConfig
	}
	if file != "" {
		read, err := config.ReadAdmin([]string{file})
		if err != nil && a.address == "" { // with --admin the node can be asked all the same
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		a.address = first(a.address, preferred(read.Addresses))
		token = first(token, read.TokenFile)
	}
	a.address = first(a.address, config.DefaultAdmin)
	if !a.isUnix() && token != "" {
		var err error
		if a.token, err = config.ReadToken(token); err != nil {
			return nil, fmt.Errorf("%s: admin-token-file: %w", f.Name(), err)
		}
	}
	if a.isUnix() {
		a.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _,
			_ string,
		) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.address)
		}}
	}
	return a, nil
}

// preferred returns a unix socket, which takes no token: the first that is written, or the default
// one if it exists. Without one it returns the first address.
func preferred(list []config.Address) string {
	for _, a := range list {
		if a.Network == "unix" {
			return a.String()
		}
	}
	if _, err := os.Stat(config.DefaultAdmin); err == nil || len(list) == 0 {
		return config.DefaultAdmin
	}
	return list[0].String()
}

// first returns the first of values that is not empty.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (a *admin) isUnix() bool { return strings.HasPrefix(a.address, "/") }

// maxAnswer bounds the answer of a node.
const maxAnswer = 16 << 20

// ask makes a request and returns the answer.
func (a *admin) ask(method, pathAndQuery string) ([]byte, error) {
	host := a.address
	if a.isUnix() {
		host = "admin"
	}
	request, err := http.NewRequest(method, "http://"+host+pathAndQuery, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.command, err)
	}
	if a.token != nil {
		request.Header.Set("Authorization", "Bearer "+string(a.token))
	}
	response, err := a.http.Do(request)
	if err != nil {
		return nil,
			node.RuntimeError{Err: fmt.Errorf("%s: %w: is it the admin address of a running node?",
				a.command, err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, node.RuntimeError{Err: fmt.Errorf("%s: %w", a.command, err)}
	case response.StatusCode == http.StatusUnprocessableEntity:
		return nil, refusedError{a.command + ": " + strings.TrimSpace(string(body))}
	case response.StatusCode != http.StatusOK:
		return nil, node.RuntimeError{Err: fmt.Errorf("%s: %s", a.command,
			strings.TrimSpace(string(body)))}
	}
	return body, nil
}

// post sends a command to the node that the flags name.
func (f *adminFlags) post(pathAndQuery string) ([]byte, error) {
	a, err := f.node()
	if err != nil {
		return nil, err
	}
	return a.ask(http.MethodPost, pathAndQuery)
}

// list prints rows of the node that the flags name, as JSON or as a table.
func list[T any](f *adminFlags, path string, stdout io.Writer, table func([]T) table) error {
	a, err := f.node()
	if err != nil {
		return err
	}
	if f.json {
		body, err := a.ask(http.MethodGet, path)
		if err != nil {
			return err
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, bytes.TrimSpace(body), "", "  "); err != nil {
			return node.RuntimeError{Err: fmt.Errorf("%s: %w", a.command, err)}
		}
		_, err = fmt.Fprintln(stdout, indented.String())
		return err
	}
	var rows []T
	if err := a.get(path, &rows); err != nil {
		return err
	}
	return table(rows).print(stdout)
}

// get reads the document of the node at a path.
func (a *admin) get(path string, into any) error {
	body, err := a.ask(http.MethodGet, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return node.RuntimeError{Err: fmt.Errorf("%s: %w", a.command, err)}
	}
	return nil
}
