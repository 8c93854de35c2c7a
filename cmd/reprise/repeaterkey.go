package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"reprise/config"
	"reprise/replicate"
)

// repeaterKey prints the key that a repeater needs, derived from a cluster secret, which it does
// not need.
func repeaterKey(args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("repeater-key: name one cluster-secret-file")
	}
	raw, err := config.ReadSecret(args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	defer clear(raw)
	secret, err := replicate.NewSecret(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	fmt.Fprintln(stdout, hex.EncodeToString(secret.RepeaterKey()))
	return nil
}
