package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// A lender starts the real program for the shims of a run: one process for each wish, which lasts
// until the end.
type lender struct {
	binary   string
	options  []string
	otherCA  string // file of a CA that has signed nothing
	control  net.Listener
	backends map[behaviour]net.Listener

	mu        sync.Mutex // guards the rest
	loans     map[wish]loan
	processes []*exec.Cmd
}

func newLender(binary string, options []string, dir string) (*lender, error) {
	l := &lender{
		binary: binary, options: options, otherCA: filepath.Join(dir, "other-ca.pem"),
		backends: map[behaviour]net.Listener{}, loans: map[wish]loan{},
	}
	ca, err := newCA()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.otherCA, pem.EncodeToMemory(&pem.Block{
		Type:  "CERTIFICATE",
		Bytes: ca.Raw,
	}), 0o600); err != nil {
		return nil, err
	}
	if l.control, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go l.serve()
	for _, b := range []behaviour{echoes, greets, closesFirst} {
		if l.backends[b], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			l.close()
			return nil, err
		}
		go serveBackend(l.backends[b], b)
	}
	return l, nil
}

// close ends all processes.
func (l *lender) close() {
	l.control.Close()
	for _, b := range l.backends {
		if b != nil {
			b.Close()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.processes {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
}

func (l *lender) serve() {
	for {
		c, err := l.control.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var w wish
			if json.NewDecoder(c).Decode(&w) == nil {
				_ = json.NewEncoder(c).Encode(l.lend(w))
			}
		}()
	}
}

func (l *lender) lend(w wish) loan {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.loans[w]; !ok {
		address, err := l.start(w)
		l.loans[w] = loan{Address: address}
		if err != nil {
			l.loans[w] = loan{Error: err.Error()}
		}
	}
	return l.loans[w]
}

// start starts a process with the one listener of w and waits until it accepts.
func (l *lender) start(w wish) (string, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := free.Addr().String()
	free.Close()
	listener := "addr=" + address + w.Certificates
	if w.ClientCA != "" || w.OtherCA {
		file := w.ClientCA
		if w.OtherCA {
			file = l.otherCA
		}
		if w.Require {
			file = "!" + file
		}
		listener += ",clientca=" + file
	}
	if w.Ciphers != "" {
		listener += ",ciphers=" + w.Ciphers[1:]
	}
	args := append([]string{
		"--sslrouter2", listener, "--sslrouter-to",
		l.backends[w.Backend].Addr().String(),
	}, l.options...)
	if w.ALPN != "" {
		args = append(args, "--sslrouter-alpn", w.ALPN)
	}
	if w.NoSessions {
		args = append(args, "--ssl-sessions-use-cache=false")
	}
	if w.SingleUse {
		args = append(args, "--ssl-sessions-single-use")
	}
	if w.MinVersion == 0x0304 {
		args = append(args, "--tls-min-version", "1.3")
	}
	c := exec.Command(l.binary, args...)
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	if err := c.Start(); err != nil {
		return "", err
	}
	for range 100 {
		socket, err := net.Dial("tcp", address)
		if err == nil {
			socket.Close()
			l.processes = append(l.processes, c)
			return address, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	// without the option and the files' names
	_, why, _ := bytes.Cut(bytes.TrimSpace(output.Bytes()), []byte(": /"))
	return "", fmt.Errorf("the program does not start: %s", why[bytes.LastIndexByte(why, ':')+1:])
}

// serveBackend behaves towards the runner as the shim would.
func serveBackend(listener net.Listener, b behaviour) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			switch b {
			case closesFirst:
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, c)
				return
			case greets:
				_, _ = io.WriteString(c, "hello")
			}
			p := make([]byte, 16<<10)
			for {
				n, err := c.Read(p)
				for i := range p[:n] {
					p[i] ^= 0xff
				}
				if _, werr := c.Write(p[:n]); err != nil || werr != nil {
					return
				}
			}
		}()
	}
}
