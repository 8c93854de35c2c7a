package node

import (
	"strings"
	"testing"

	"reprise/config"
)

// TestOwnAddresses: no subscriber may name where this process listens itself.
func TestOwnAddresses(t *testing.T) {
	own := ownAddresses(&config.Config{
		Admin: []config.Address{{Network: "unix", Path: "/run/reprise/admin.sock"}}, Stats: config.Address{Network: "tcp", Host: "127.0.0.1", Port: 5001},
		Listeners: []config.Listener{{Addr: config.Address{Network: "tcp", Port: 8443}}},
	})
	for address, want := range map[string]bool{
		"unix /run/reprise/admin.sock": true, "unix /run/reprise/../reprise/admin.sock": true, "unix /run/app.sock": false,
		"tcp 127.0.0.1:5001": true, "tcp [::ffff:127.0.0.1]:5001": true, "tcp 127.0.0.2:5001": false, "tcp 127.0.0.1:5002": false,
		"tcp 127.0.0.1:8443": true, "tcp 192.0.2.1:8443": false,
	} {
		if network, a, _ := strings.Cut(address, " "); (*own)(network, a) != want {
			t.Errorf("%s: %v, want %v", address, !want, want)
		}
	}
}
