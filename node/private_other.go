//go:build !linux

package node

// keepPrivate does what Linux can.
func keepPrivate() {}

// hasCapabilities reports false: there are none here.
func hasCapabilities() (bool, error) { return false, nil }
