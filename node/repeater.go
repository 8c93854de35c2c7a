package node

import (
	"fmt"
	"log/slog"

	"reprise/config"
	"reprise/replicate/repeater"
)

// repeaterBuffer is the size of its socket buffers: a repeater gets the datagrams of all nodes
// together.
const repeaterBuffer = 4 << 20

// openRepeaters binds a repeater for each udprepeater line, each a fleet of its
// own.
func (n *Node) openRepeaters(secrets [][]byte) error {
	c := n.config
	if len(c.Repeaters) == 0 {
		return nil
	}
	keys, err := repeaterKeys(c, secrets)
	if err != nil {
		return err
	}
	defer wipe(keys)
	for _, a := range c.Repeaters {
		listen, err := resolveUDP([]config.Address{a})
		if err != nil {
			return fmt.Errorf("udprepeater: %w", err)
		}
		r, err := repeater.New(repeater.Options{
			Listen: listen, Inherit: n.in.datagrams(repeaterSocket), Keys: keys,
			BufferLen: repeaterBuffer, Logger: slog.Default(),
		})
		if err != nil {
			return fmt.Errorf("udprepeater: %w", err)
		}
		n.repeaters = append(n.repeaters, r)
		n.onCloseErr(r.Close)
	}
	return nil
}

// repeaterKeys returns the keys by which a repeater knows its subscribers: from a
// file, so that it need not have the cluster's secret, or derived from that.
func repeaterKeys(c *config.Config, secrets [][]byte) (keys [][]byte, err error) {
	if file := c.RepeaterSecretFile; file != "" {
		key, err := config.ReadRepeaterKey(file)
		if err != nil {
			return nil, fmt.Errorf("udprepeater-secret-file: %w", err)
		}
		return [][]byte{key}, nil
	}
	derived, err := datagramSecrets(secrets)
	if err != nil {
		return nil, err
	}
	for _, s := range derived {
		keys = append(keys, s.RepeaterKey())
	}
	return keys, nil
}
