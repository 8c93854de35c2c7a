//go:build !linux

package main

// keepPrivate does what Linux can.
func keepPrivate() {}
