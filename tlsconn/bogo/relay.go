package main

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"reprise/tlsconn"
)

// relayVariable names the environment variable with the address of the judge's
// lender. With it the shim is not the server: it relays the runner's bytes to a
// listener of the real program, which the judge has started.
const relayVariable = "REPRISE_BOGO_LENDER"

// A wish describes the listener that a test needs. Tests with equal wishes share one.
type wish struct {
	Certificates string // in the form of the option sslrouter2
	ClientCA     string // a file; empty asks for no certificate
	OtherCA      bool   // clients' certificates by a CA that has signed nothing
	Require      bool   // clients must send a certificate
	ALPN         string
	MinVersion   uint16
	Ciphers      string // OpenSSL's list
	NoSessions   bool
	SingleUse    bool
	Backend      behaviour
}

// behaviour is the behaviour of a listener's backend.
type behaviour string

const (
	echoes      behaviour = "echoes"       // each byte with its bits flipped
	greets      behaviour = "greets"       // says hello, then echoes
	closesFirst behaviour = "closes first" // at once
)

// wish returns the listener that a connection needs. It is long because it is a list of what tests
// want.
func (o *options) wish(initial *options) (wish, error) {
	engine, err := chosenEngine()
	if err != nil {
		return wish{}, err
	}
	known := func(g uint16) bool { return slices.Contains(engine.groups, tls.CurveID(g)) }
	switch {
	case len(o.clientCAs) > 0:
		return wish{}, unimplemented("names of CAs")
	case len(o.groups) > 0 && !slices.ContainsFunc(o.groups, known):
		return wish{}, unimplemented(fmt.Sprintf("group %v", o.groups))
	case o.onlyGroups:
		return wish{}, unimplemented("groups, of a client that has others")
	case o.exportLen > 0:
		return wish{}, unimplemented("exported keying material")
	case o.maxVersion != 0 || o.java11:
		return wish{}, unimplemented("a maximum of TLS 1.2")
	case o.delay != 0:
		return wish{}, unimplemented("time that passes")
	case o.verifyFails && !initial.verifyFails:
		return wish{}, unimplemented("verification that would fail if it were made")
	case o.initialWrite != "" || o.initialWrites != 0:
		return wish{}, unimplemented("a greeting other than hello")
	}
	w := wish{
		ALPN: o.alpn, MinVersion: o.minVersion, NoSessions: o.noTickets,
		SingleUse: o.renewsTickets, Backend: echoes,
	}
	suites, err := o.suiteList(engine)
	if err != nil {
		return wish{}, err
	}
	for _, id := range suites {
		w.Ciphers += ":" + (&tlsconn.Info{CipherSuite: id}).Cipher()
	}
	for _, c := range append(slices.Clone(o.credentials), o.fallback) {
		if len(c.signingPrefs) > 0 {
			return wish{}, unimplemented("signature algorithms")
		}
		if c.namedIssuer {
			return wish{}, unimplemented("certificates for named issuers")
		}
		if c.certFile != "" {
			w.Certificates += ",cert=" + c.certFile + ",key=" + c.keyFile
		}
	}
	if o.rejectALPN {
		w.ALPN = "no client has this protocol"
	}
	if o.requireClient || o.verifyClient {
		w.ClientCA, w.Require = o.trustFile, o.requireClient
		w.OtherCA = initial.verifyFails || o.trustFile == ""
	}
	switch {
	case o.shutsDown:
		w.Backend = closesFirst
	case o.writesFirst:
		w.Backend = greets
	}
	return w, nil
}

// relay runs a test over listeners that the judge lends.
func (t *test) relay(lender string) error {
	if t.resumeCount > 0 {
		first, err := t.initial.wish(&t.initial)
		if err != nil {
			return err
		}
		if second, err := t.resume.wish(&t.initial); err == nil && second != first {
			return unimplemented("a resumption at another listener")
		}
	}
	for i := range t.resumeCount + 1 {
		o := &t.initial
		if i > 0 {
			o = &t.resume
		}
		w, err := o.wish(&t.initial)
		if err != nil {
			return err
		}
		address, err := borrow(lender, w)
		if err != nil {
			return err
		}
		if err := relayConnection(t.address, t.shimID, address, o.async); err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	return nil
}

// A loan is the lender's answer.
type loan struct{ Address, Error string }

// borrow asks the judge for a listener.
func borrow(lender string, w wish) (address string, err error) {
	c, err := net.Dial("tcp", lender)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(w); err != nil {
		return "", err
	}
	var l loan
	if err := json.NewDecoder(c).Decode(&l); err != nil {
		return "", err
	}
	if l.Error != "" {
		return "", unimplemented(l.Error)
	}
	return l.Address, nil
}

// relayConnection carries bytes between the runner and a listener. It sees no more of the outcome
// than an unencrypted alert.
func relayConnection(runner string, shimID uint64, listener string, single bool) error {
	client, err := net.Dial("tcp", runner)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.Write(binary.LittleEndian.AppendUint64(nil, shimID)); err != nil {
		return err
	}
	server, err := net.Dial("tcp", listener)
	if err != nil {
		return err
	}
	defer server.Close()
	for _, c := range []net.Conn{client, server} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
	}
	go func() {
		_ = pump(server, client, single, nil)
	}()
	var alerts alertWatch
	err = pump(client, server, single, &alerts)
	_, _ = io.Copy(io.Discard, client) // until the runner has read all and closed
	if alerts.fatal != 0 {
		return fmt.Errorf("<alert %d>", alerts.fatal)
	}
	return err
}

// pump copies until the end, and then ends the stream of to.
func pump(to, from net.Conn, single bool, watch *alertWatch) error {
	defer func() { _ = to.(*net.TCPConn).CloseWrite() }()
	p := make([]byte, 16<<10)
	if single {
		p = p[:1]
	}
	for {
		n, err := from.Read(p)
		if watch != nil {
			watch.see(p[:n])
		}
		if n > 0 {
			if _, err := to.Write(p[:n]); err != nil {
				return nil // it has closed, which is no failure
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err != nil {
			return nil // an end, or a reset, which is equivalent
		}
	}
}

// An alertWatch finds an unencrypted fatal alert among the records it sees.
type alertWatch struct {
	record []byte // the part of the current record that has come
	fatal  byte
}

func (a *alertWatch) see(b []byte) {
	const alert, fatal, headerLen = 21, 2, 5
	for a.record = append(a.record, b...); len(a.record) >= headerLen; {
		length := headerLen + int(binary.BigEndian.Uint16(a.record[3:]))
		if len(a.record) < length {
			return
		}
		if a.record[0] == alert && length == headerLen+2 && a.record[headerLen] == fatal {
			a.fatal = a.record[headerLen+1]
		}
		a.record = a.record[length:]
	}
}
