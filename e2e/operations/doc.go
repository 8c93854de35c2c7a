// Package operations tests what an operator does to a node: start and stop it, have it read
// its files again, drain it, replace its program while it serves, run it under systemd, and
// watch it.
package operations
