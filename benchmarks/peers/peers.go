package peers

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed *.ini *.conf *.cfg *.txt *.cnf
var files embed.FS

// Mode is how a server treats the plaintext.
type Mode string

// A server relays bytes or parses HTTP/1.1. Only servers of one mode are compared.
const (
	TCP  Mode = "tcp"
	HTTP Mode = "http"
)

// Peer is a server that can be measured. It is read-only.
type Peer struct {
	Name    string
	Mode    Mode
	OpenSSL bool // TLS by OpenSSL: one of those among which Reprise's best peer is chosen
	Shares  bool // several nodes can share the keys or sessions for resumption
	P256    bool // has no other group
	NoALPN  bool // has no option for it

	file string // of its template
}

// Settings are the values for templates.
type Settings struct {
	Dir           string   // for the configuration and the server's files
	Addr, Backend string   // host:port
	Cert, Key     string   // PEM files
	PEM           string   // certificate and key in one file
	Group         string   // OpenSSL's name of the only group
	ALPN          string   // the one protocol to negotiate; "" is none
	H2C           bool     // the backend speaks HTTP/2; Reprise and HAProxy in HTTP mode support it
	Workers       int      // processes, threads or loops
	Reprise       string   // its binary
	Plain         string   // the binary of the proxy in peers/plain
	Stats         string   // Reprise: address of its statistics
	Node          string   // Reprise: its UDP address in a fleet
	OtherNodes    []string // Reprise: its peers
	Replication   string   // Reprise: cache-replication
	Sessions      int      // Reprise: how many its cache holds; 0 is the default
	ByID          bool     // clients resume by session ID
	// PEM file of the clients' CA, which makes certificates mandatory; "" requests none
	ClientCA      string
	TicketKey     string // file of 80 random bytes shared by all nodes
	TicketKeyText string // file of such keys in base64, one a line
}

// Command runs a server.
type Command struct {
	Args []string // the program first
	Env  []string // added to this process's
}

// All are the servers of both modes, Reprise first in each.
func All() []Peer {
	return []Peer{
		{Name: "reprise", Mode: TCP, Shares: true, file: "reprise.ini"},
		{Name: "reprise-openssl", Mode: TCP, file: "reprise.ini"},
		{Name: "hitch", Mode: TCP, OpenSSL: true, file: "hitch.conf"},
		{Name: "haproxy", Mode: TCP, OpenSSL: true, Shares: true, file: "haproxy-tcp.cfg"},
		{Name: "nginx", Mode: TCP, OpenSSL: true, Shares: true, file: "nginx-stream.conf"},
		{Name: "stunnel", Mode: TCP, OpenSSL: true, NoALPN: true, file: "stunnel.conf"},
		{Name: "uwsgi", Mode: TCP, OpenSSL: true, P256: true, NoALPN: true, file: "uwsgi.ini"},
		{Name: "plain-go", Mode: TCP, file: "plain.txt"},
		{Name: "reprise-http", Mode: HTTP, file: "reprise-http.ini"},
		{Name: "haproxy-http", Mode: HTTP, OpenSSL: true, file: "haproxy-http.cfg"},
		{Name: "nginx-http", Mode: HTTP, OpenSSL: true, file: "nginx-http.conf"},
		{Name: "h2o", Mode: HTTP, OpenSSL: true, file: "h2o.conf"},
	}
}

// ErrNotInstalled says that a server's program is not on this machine.
var ErrNotInstalled = errors.New("not installed")

// BackendH2 is nginx as a backend for HTTP/2 without TLS. It uses only the settings Dir and Addr.
func BackendH2() Peer { return Peer{Name: "backend-h2", file: "backend-h2.conf"} }

// Prepare writes p's configuration into s.Dir, which must be its own. It fails
// with [ErrNotInstalled] if p's program is missing.
func (p Peer) Prepare(s Settings) (Command, error) {
	text, err := render(p.file, s)
	if err != nil {
		return Command{}, err
	}
	first, _, _ := strings.Cut(text, "\n")
	_, run, ok := strings.Cut(first, " run: ")
	if !ok {
		return Command{}, fmt.Errorf("peers: %s does not begin with its command", p.file)
	}
	args := strings.Fields(run)
	if args[0], err = program(args[0]); err != nil {
		return Command{}, err
	}
	conf, err := render("openssl.cnf", s)
	if err != nil {
		return Command{}, err
	}
	openssl := filepath.Join(s.Dir, "openssl.cnf")
	if err := os.WriteFile(openssl, []byte(conf), 0o644); err != nil {
		return Command{}, err
	}
	if err := os.WriteFile(s.file(p.file), []byte(text), 0o644); err != nil {
		return Command{}, err
	}
	return Command{Args: args, Env: []string{"OPENSSL_CONF=" + openssl}}, nil
}

// render fills in a template. Templates have the fields of s and, as File, the path of p's
// configuration.
func render(name string, s Settings) (string, error) {
	t, err := template.ParseFS(files, name)
	if err != nil {
		return "", err
	}
	host, port, _ := strings.Cut(s.Addr, ":")
	backendHost, backendPort, _ := strings.Cut(s.Backend, ":")
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		Settings
		File, Host, Port, BackendHost, BackendPort string
	}{s, s.file(name), host, port, backendHost, backendPort})
	return out.String(), err
}

func (s Settings) file(name string) string { return filepath.Join(s.Dir, name) }

// program finds a program where Debian installs servers, which is not in every PATH.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if path, err := exec.LookPath(filepath.Join("/usr/sbin", name)); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s: %w", name, ErrNotInstalled)
}
