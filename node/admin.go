package node

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"reprise/config"
	"reprise/stats"
)

// An adminServer is one of the addresses at which the node can be observed and controlled.
type adminServer struct {
	*stats.AdminServer
	address string // as configured
}

// openAdmin starts the configured admin servers, and the one at DefaultAdmin if none of them is a
// unix socket.
func (n *Node) openAdmin(r *stats.Registry) error {
	token, err := readToken(n.config)
	if err != nil {
		return err
	}
	n.access.SetToken(token)
	clear(token)
	for _, a := range n.config.Admin {
		if err := n.listenAdmin(a.String(), r); err != nil {
			return err
		}
	}
	isUnix := func(a config.Address) bool { return a.Network == "unix" }
	path := defaultAdmin()
	if slices.ContainsFunc(n.config.Admin, isUnix) ||
		unix.Access(filepath.Dir(path), unix.W_OK) != nil {
		return nil
	}
	if err := n.listenAdmin(path, r); err != nil {
		// another node listens there
		slog.Info("no admin socket: write admin = PATH to have one", "error", err)
	}
	return nil
}

// defaultAdmin is config.DefaultAdmin, or the same file in the directory that the service
// manager has made for this unit.
func defaultAdmin() string {
	dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	if dir == "" {
		return config.DefaultAdmin
	}
	return filepath.Join(dir, filepath.Base(config.DefaultAdmin))
}

func (n *Node) listenAdmin(address string, r *stats.Registry) error {
	s, err := stats.ListenAdmin(address, r, stats.AdminOptions{
		Start: n.in.start(adminSocket, address), Ready: n.ready, Pprof: n.config.Pprof,
		Access: &n.access, Hosts: n.config.AdminHosts,
		Handlers: map[string]http.Handler{
			"GET /pools":        asJSON(n.poolList),
			"GET /backends":     asJSON(n.backendList),
			"GET /peers":        asJSON(n.peerList),
			"GET /certificates": asJSON(n.certificateList),
			"GET /status":       asJSON(n.localStatus),
			"GET /fleet":        asJSON(n.fleetStatus),
		},
		Control: map[string]http.Handler{
			"GET /sessions": asJSON(n.sessionList),
			"GET /why":      http.HandlerFunc(n.handleWhy),
			"POST /forget":  http.HandlerFunc(n.handleForget),
			"POST /backend": http.HandlerFunc(n.handleBackend),
			"POST /drain":   http.HandlerFunc(n.handleDrain),
			"POST /upgrade": http.HandlerFunc(n.handleUpgrade),
			"POST /reload":  http.HandlerFunc(n.handleReload),
		},
	})
	if err != nil {
		return err
	}
	n.admins = append(n.admins, adminServer{s, address})
	n.onClose(func() { shutDown(s) })
	return nil
}

// readToken returns the admin server's token, nil if there is none. The caller owns it and wipes
// it.
func readToken(c *config.Config) ([]byte, error) {
	if c.AdminTokenFile == "" {
		return nil, nil
	}
	return config.ReadToken(c.AdminTokenFile)
}
