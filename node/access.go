package node

import (
	"log/slog"
	"os"
	"strings"

	"reprise/backend/http1"
	"reprise/config"
	"reprise/engine"
	"reprise/internal/accesslog"
)

var accessFormats = map[string]accesslog.Format{
	"json":     accesslog.JSON,
	"combined": accesslog.Combined,
}

func (n *Node) openAccessLog() (err error) {
	log, err := newAccessLog(&n.config.AccessLog)
	n.accessLog.Store(log)
	n.onClose(func() {
		if log := n.accessLog.Load(); log != nil { // a reload may have opened another one
			log.Close()
		}
	})
	return err
}

// accessQueue is how many lines may wait for the disk: a busy second's, at most 40 MB if each is as
// long as it can be.
const accessQueue = 8192

// newAccessLog returns nil if none is configured.
func newAccessLog(c *config.AccessLog) (*accesslog.Log, error) {
	if c.File == "" {
		return nil, nil
	}
	return accesslog.New(accesslog.Options{
		Path: c.File, Format: accessFormats[c.Format], Sample: c.Sample, Queue: accessQueue,
	})
}

// accessStats are those of the current log.
func (n *Node) accessStats() (s accesslog.Stats) {
	if log := n.accessLog.Load(); log != nil {
		s = log.Stats()
	}
	return s
}

// reopenOn opens the access log anew at each signal, which comes after the old file was moved away.
func (n *Node) reopenOn(signals <-chan os.Signal) {
	for {
		select {
		case <-n.stop:
			return
		case <-signals:
		}
		log := n.accessLog.Load()
		if log == nil {
			continue
		}
		if err := log.Reopen(); err != nil {
			slog.Error("the access log stays in its old file", "error", err)
		}
	}
}

// accessTo returns the function that writes to a log, nil if there is none. Loops call it.
func accessTo(log *accesslog.Log) func(*engine.Access) {
	if log == nil {
		return nil
	}
	return func(a *engine.Access) { logAccess(log, a) }
}

func logAccess(log *accesslog.Log, a *engine.Access) {
	e := accesslog.Entry{
		Time: a.Start, Client: a.Client, Listener: a.Listener.Address, Router: a.Listener.Name,
		Status: a.Status, Retries: a.Retries, KeptAlive: a.Reused, Cause: a.Cause, Reason: a.Reason,
		Request: a.Nth, BytesIn: a.In, BytesOut: a.Out,
		Handshake: a.Handshake, Connect: a.Connect, FirstByte: a.FirstByte, Total: a.Total,
	}
	if !e.Failed() && !log.Sampled() {
		return
	}
	if a.Backend != nil {
		e.Backend = a.Backend.Name()
	}
	if a.TLS != nil {
		info := a.TLS.Info()
		e.TLSVersion, e.Cipher, e.ServerName, e.ALPN = info.Protocol(), info.Cipher(),
			info.ServerName, info.ALPN
		e.Outcome = info.Outcome.String()
		if source, resumed := strings.CutPrefix(e.Outcome, "resumed_"); resumed {
			e.Resumed = source
		}
		if cert := a.TLS.ClientCertificate(); cert != nil {
			e.ClientCert = cert.Subject.CommonName
		}
	}
	if r := a.Request; r != nil {
		e.Method, e.Target, e.Proto, e.Host = r.Method, r.Target, protos[r.Minor], r.Host
		if a.Stream != 0 {
			e.Proto, e.Stream = http2Proto, a.Stream
		}
		e.Referer, e.UserAgent = field(r, "Referer"), field(r, "User-Agent")
	}
	log.Write(&e)
}

var (
	protos     = [...][]byte{[]byte("HTTP/1.0"), []byte("HTTP/1.1")}
	http2Proto = []byte("HTTP/2.0")
)

// field returns the value of the first field of a name.
func field(r *http1.Request, name string) []byte {
	for i := range r.Fields {
		if r.Fields[i].Is(name) {
			return r.Fields[i].Value
		}
	}
	return nil
}
