package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// secretLen is the length of a fleet's secret: that of the keys made from it.
const secretLen = 32

// printSecret prints a new secret for a fleet, for cluster-secret-file.
func printSecret(args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return errors.New("secret: it takes no arguments: write reprise secret > FILE")
	}
	var secret [secretLen]byte
	_, _ = rand.Read(secret[:]) // never fails
	defer clear(secret[:])
	_, err := fmt.Fprintln(stdout, hex.EncodeToString(secret[:]))
	return err
}
