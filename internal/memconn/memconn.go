// Package memconn has the methods of net.Conn that an in-memory connection does not need.
package memconn

import (
	"net"
	"time"
)

// Rest, when embedded, makes a net.Conn of a type with Read and Write only: Close does nothing,
// deadlines never pass, and both ends have the same address.
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
