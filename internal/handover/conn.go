package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A File is a descriptor with the name by which the receiver finds it. Several may have
// the same.
type File struct {
	Name string
	FD   int
}

// A Message goes from one end to the other.
type Message struct {
	Kind  string
	Body  []byte
	Files []File
}

// A Conn is one end of the connection between a process and its successor.
type Conn struct{ c *net.UnixConn }

const (
	// maxFiles is how many descriptors go into a packet; the kernel takes 253.
	maxFiles = 64
	// maxPacket bounds a packet: it fits into the kernel's default buffer of a socket.
	maxPacket = 160 << 10
)

// packet is a message, or a part of one, on the wire.
type packet struct {
	Kind  string
	Body  []byte   `json:",omitempty"`
	Names []string `json:",omitempty"`
	More  bool     `json:",omitempty"`
}

// pair returns the two ends of a new socket, both to be closed on exec.
func pair() (ours *Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "successor")
	if ours, err = newConn(fds[0]); err != nil {
		theirs.Close()
	}
	return ours, theirs, err
}

// newConn takes ownership of fd.
func newConn(fd int) (*Conn, error) {
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close() // FileConn has made a copy
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("handover: not a unix socket")
	}
	return &Conn{u}, nil
}

// Close ends the connection: the other end's Receive returns io.EOF.
func (c *Conn) Close() error { return c.c.Close() }

// Send sends a message; it fails if that takes longer than within.
func (c *Conn) Send(m Message, within time.Duration) error {
	if err := c.c.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	p := packet{Kind: m.Kind, Body: m.Body}
	for files := m.Files; ; files, p.Body = files[len(p.Names):], nil {
		part := files[:min(len(files), maxFiles)]
		p.More, p.Names = len(part) < len(files), make([]string, len(part))
		fds := make([]int, len(part))
		for i, f := range part {
			p.Names[i], fds[i] = f.Name, f.FD
		}
		if err := c.send(&p, fds); err != nil || !p.More {
			return err
		}
	}
}

func (c *Conn) send(p *packet, fds []int) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	defer clear(b) // it may be a session
	if len(b) > maxPacket {
		return fmt.Errorf("handover: a message of %d bytes is too long", len(b))
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_, _, err = c.c.WriteMsgUnix(b, rights, nil)
	return err
}

// Receive waits for the next message, at most for within if that is not 0. io.EOF means that the
// other end has closed, or is gone.
func (c *Conn) Receive(within time.Duration) (m Message, err error) {
	deadline := time.Time{}
	if within != 0 {
		deadline = time.Now().Add(within)
	}
	if err := c.c.SetReadDeadline(deadline); err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			closeAll(m.Files)
			m = Message{}
		}
	}()
	b, rights := make([]byte, maxPacket), make([]byte, unix.CmsgSpace(4*maxFiles))
	defer clear(b)
	for {
		p, files, err := c.receive(b, rights)
		m.Files = append(m.Files, files...)
		switch {
		case err != nil:
			return m, err
		case m.Kind == "":
			m.Kind, m.Body = p.Kind, p.Body
		case m.Kind != p.Kind:
			return m, fmt.Errorf("handover: %q in the middle of %q", p.Kind, m.Kind)
		}
		if !p.More {
			return m, nil
		}
	}
}

func (c *Conn) receive(b, rights []byte) (p packet, files []File, err error) {
	n, rightsLen, flags, _, err := c.c.ReadMsgUnix(b, rights)
	fds := received(rights[:rightsLen])
	for _, fd := range fds {
		files = append(files, File{FD: fd})
	}
	switch {
	case errors.Is(err, io.EOF):
		return p, files, io.EOF
	case err != nil:
		return p, files, err
	case n == 0:
		return p, files, io.EOF
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		return p, files, errors.New("handover: a message was cut")
	}
	if err := json.Unmarshal(b[:n], &p); err != nil {
		return p, files, fmt.Errorf("handover: %w", err)
	}
	if len(p.Names) != len(files) || p.Kind == "" {
		return p, files, fmt.Errorf("handover: %d descriptors with %d names", len(files),
			len(p.Names))
	}
	for i := range files {
		files[i].Name = p.Names[i]
	}
	return p, files, nil
}

// received returns the descriptors in the control messages. Package net has asked for
// close-on-exec.
func received(rights []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range messages {
		if list, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, list...)
		}
	}
	return fds
}

func closeAll(files []File) {
	for _, f := range files {
		unix.Close(f.FD)
	}
}
