package backend

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"reprise/backend/http1"
	"reprise/backend/http2"
)

// getByHTTP2 is get for a node of HTTP/2: its own connection with one call.
func (k *checker) getByHTTP2(conn net.Conn) error {
	limits := &http1.Limits{
		HeadLen: maxCheckAnswer, TargetLen: maxCheckAnswer, FieldLen: 100,
		TrailerLen: maxCheckAnswer,
	}
	b := http2.NewBackend(http2.DefaultBackendOptions(limits), new(http2.Scratch))
	if _, err := conn.Write(b.Start(nil)); err != nil {
		return err
	}
	var call *http2.Call
	in, buffer := []byte(nil), make([]byte, maxCheckAnswer)
	for read := 0; read < 4*maxCheckAnswer; {
		out, used, e := b.Next(nil, in)
		in = in[used:]
		switch e.Kind {
		case http2.Response:
			if status, err := statusOf(e.Head); err != nil || status >= 200 {
				return errors.Join(err, k.judge(status))
			}
		case http2.Reset, http2.Failed:
			return fmt.Errorf("it breaks off: code %d %s", e.Code, e.Reason)
		}
		if call == nil && b.Room() > 0 {
			out, call = b.Open(out, fmt.Appendf(nil,
				"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: reprise-check\r\n\r\n", k.Path,
				k.host()), true)
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
		if e.Kind != http2.None {
			continue
		}
		n, err := conn.Read(buffer)
		if err != nil {
			return err
		}
		read += n
		in = append(in, buffer[:n]...)
	}
	return errors.New("it does not answer")
}

// statusOf returns the status in a head.
func statusOf(head []byte) (int, error) {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	return parseStatusLine(string(line))
}

// judge reports whether a status counts as healthy.
func (k *checker) judge(status int) error {
	if status < 200 || status > 399 {
		return fmt.Errorf("it answers with status %d", status)
	}
	return nil
}
