//go:build !linux

package node

// keepPrivate does what Linux can.
func keepPrivate() {}
