//go:build !linux

package node

// keepPrivate does nothing: only Linux can do it.
func keepPrivate() {}

// hasCapabilities reports false: only Linux has them.
func hasCapabilities() (bool, error) { return false, nil }
