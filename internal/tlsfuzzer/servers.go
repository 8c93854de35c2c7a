package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A pair is a certificate and its key, as files.
type pair struct{ cert, key string }

type certificates struct{ rsa, ecdsa, client pair }

// makeCertificates has openssl make the servers' certificates and a client's,
// which is its own CA.
func makeCertificates(dir string) (*certificates, error) {
	var pki certificates
	for _, c := range []struct {
		pair *pair
		name string
		key  []string
	}{
		{&pki.rsa, "rsa", []string{"-newkey", "rsa:2048"}},
		{&pki.ecdsa, "ecdsa", []string{
			"-newkey", "ec", "-pkeyopt",
			"ec_paramgen_curve:prime256v1",
		}},
		{&pki.client, "client", []string{"-newkey", "rsa:2048"}},
	} {
		*c.pair = pair{filepath.Join(dir, c.name+".pem"), filepath.Join(dir, c.name+".key")}
		args := append([]string{
			"req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost",
			"-keyout", c.pair.key, "-out", c.pair.cert,
		}, c.key...)
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("openssl %v: %w\n%s", args, err, out)
		}
	}
	return &pki, nil
}

// startServer starts what the scripts run against.
func startServer(server, binary, engine string, pki *certificates) (
	ports map[string]string, stop func(), err error,
) {
	switch server {
	case "reprise":
		return startReprise(binary, pki, engine)
	case "openssl":
		return startOpenSSL(pki)
	}
	return nil, nil, fmt.Errorf("-server %q: it is reprise or openssl", server)
}

// startReprise starts the program with a listener for each kind of certificate
// and one that asks for the client's.
func startReprise(binary string, pki *certificates,
	engine string,
) (ports map[string]string, stop func(), err error) {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	go serve(backend)
	ports = map[string]string{}
	args := []string{
		"--sslrouter-to", backend.Addr().String(), "--drain-timeout", "1",
		"--tls-engine", engine,
	}
	for _, l := range []struct {
		name string
		pair
		ca string
	}{
		{"rsa", pki.rsa, ""},
		{"ecdsa", pki.ecdsa, ""},
		{"client", pki.rsa, ",," + pki.client.cert},
	} {
		ports[l.name] = freePort()
		args = append(args, "--sslrouter", fmt.Sprintf("127.0.0.1:%s,%s,%s%s", ports[l.name],
			l.cert, l.key, l.ca))
	}
	stopServer, err := start(ports, binary, args...)
	return ports, func() { stopServer(); backend.Close() }, err
}

// startOpenSSL starts one server for each listener.
func startOpenSSL(pki *certificates) (ports map[string]string, stop func(), err error) {
	ports = map[string]string{}
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	for name, args := range map[string][]string{
		"rsa":   {"-cert", pki.rsa.cert, "-key", pki.rsa.key},
		"ecdsa": {"-cert", pki.ecdsa.cert, "-key", pki.ecdsa.key},
		"client": {
			"-cert", pki.rsa.cert, "-key", pki.rsa.key, "-CAfile", pki.client.cert,
			"-verify", "1",
		},
	} {
		ports[name] = freePort()
		args = append([]string{"s_server", "-www", "-quiet", "-accept", "127.0.0.1:" + ports[name]},
			args...)
		s, err := start(map[string]string{name: ports[name]}, "openssl", args...)
		if err != nil {
			stop()
			return nil, nil, err
		}
		stops = append(stops, s)
	}
	return ports, stop, nil
}

// start starts a program and waits until it listens.
func start(ports map[string]string, name string, args ...string) (stop func(), err error) {
	c := exec.Command(name, args...)
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	if err := c.Start(); err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	go func() { _ = c.Wait(); close(gone) }()
	stop = func() {
		_ = c.Process.Signal(os.Interrupt)
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			_ = c.Process.Kill()
			<-gone
		}
	}
	for _, port := range ports {
		for listening := false; !listening; {
			socket, err := net.Dial("tcp", "127.0.0.1:"+port)
			if listening = err == nil; listening {
				socket.Close()
				break
			}
			select {
			case <-gone:
				return nil, fmt.Errorf("%s has ended:\n%s", name, output.String())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return stop, nil
}

// freePort returns a port without a listener.
func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "0"
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

const page = "HTTP/1.0 200 ok\r\nContent-type: text/plain\r\n\r\nThis is the backend.\n"

// serve answers each connection once.
func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var request []byte
			chunk := make([]byte, 16<<10)
			for !bytes.Contains(request, []byte("\n\r\n")) &&
				!bytes.Contains(request, []byte("\n\n")) {
				n, err := c.Read(chunk)
				if err != nil {
					return
				}
				// Only the end matters, whatever the length of the request.
				request = append(request[max(0, len(request)-3):], chunk[:n]...)
			}
			_, _ = io.WriteString(c, page)
		}()
	}
}
