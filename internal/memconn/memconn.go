// Package memconn has the part of net.Conn that a connection within the process has no use for.
package memconn

import (
	"net"
	"time"
)

// Rest makes a net.Conn of what has Read and Write only, if it is embedded: nothing is closed, no
// deadline passes, and both ends have the same address.
type Rest struct{}

func (Rest) Close() error                     { return nil }
func (Rest) LocalAddr() net.Addr              { return addr{} }
func (Rest) RemoteAddr() net.Addr             { return addr{} }
func (Rest) SetDeadline(time.Time) error      { return nil }
func (Rest) SetReadDeadline(time.Time) error  { return nil }
func (Rest) SetWriteDeadline(time.Time) error { return nil }

type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "memory" }
