package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs until stop.
type process struct {
	cmd    *exec.Cmd
	output tail
	ended  chan struct{} // closed once it is reaped
}

// spawn starts a program on the given cores, in a process group of its own so that its children end
// with it.
func spawn(cpus []int, args, env []string, dir string) (*process, error) {
	p := &process{
		cmd:   exec.Command("taskset", append([]string{"-c", cpuList(cpus)}, args...)...),
		ended: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop kills the process and its children. There is nothing to tidy up, and servers that drain
// would take their time.
func (p *process) stop() {
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.ended
}

// await returns once try succeeds. It fails if the process ends before, or after 10 s.
func (p *process) await(try func() error) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended: %s", p.output.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return errors.Join(err, errors.New(p.output.String()))
		}
	}
}

// tail keeps the last of what a program wrote.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

const maxTail = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = bytes.Clone(t.text[max(0, len(t.text)-maxTail):])
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

func cpuList(cpus []int) string {
	names := make([]string, len(cpus))
	for i, cpu := range cpus {
		names[i] = strconv.Itoa(cpu)
	}
	return strings.Join(names, ",")
}

// freeAddr returns a loopback address whose port is free for TCP and UDP. Its port is below those
// the kernel gives to outgoing connections, of which there will be many.
func freeAddr() (string, error) {
	for range 1000 {
		addr := "127.0.0.1:" + strconv.Itoa(10000+rand.IntN(22000))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		tcp.Close()
		if err != nil {
			continue
		}
		udp.Close()
		return addr, nil
	}
	return "", errors.New("no free port between 10000 and 32000")
}
