package main

import (
	"log/slog"
	"sync"
	"time"

	"reprise/config"
	"reprise/config/pki"
	"reprise/internal/metric"
)

// A certificateRow is a certificate that is offered.
type certificateRow struct {
	Listener string `json:"listener" label:"listener"`
	Name     string `json:"name" label:"name"` // "" is for clients that name nothing, or nothing known
	File     string `json:"file" label:"file"`
	NotAfter int64  `json:"not_after_timestamp_seconds" metric:"gauge" help:"When the certificate expires, in seconds since 1970."`
}

// expiry knows when the offered certificates end. It is read by any goroutine.
type expiry struct {
	mu     sync.Mutex
	rows   []certificateRow
	offers map[string]offer     // by file
	told   map[string]time.Time // by file: when it was last spoken of
}

// set takes what is offered from now on. What is to be said of it at once has been said:
// the configuration's warnings have it.
func (e *expiry) set(c *config.Config, all offered, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rows, e.offers, e.told = []certificateRow{}, make(map[string]offer), make(map[string]time.Time)
	seen := make(map[certificateRow]bool)
	for i, files := range all {
		if files == nil {
			continue
		}
		listener := c.Listeners[i].Router.String() + " " + c.Listeners[i].Addr.String()
		for _, o := range files.offers {
			row := certificateRow{listener, o.Name, o.CertFile, o.read.TLS.Leaf.NotAfter.Unix()}
			if seen[row] {
				continue
			}
			seen[row] = true
			e.rows = append(e.rows, row)
			e.offers[o.CertFile], e.told[o.CertFile] = o, now
		}
	}
}

// snapshot returns the rows, for the statistics.
func (e *expiry) snapshot() []certificateRow {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rows
}

// warnings returns a line for each certificate that has expired or will soon, once a
// day.
func (e *expiry) warnings(now time.Time) (lines []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for file, o := range e.offers {
		if now.Sub(e.told[file]) < 24*time.Hour {
			continue
		}
		if line := pki.Expiry(o.read.TLS.Leaf, now); line != "" {
			e.told[file] = now
			lines = append(lines, file+" "+line)
		}
	}
	return lines
}

// watch looks every hour until the returned function is called.
func (e *expiry) watch() (stop func()) {
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(time.Hour)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-done:
				return
			}
			for _, line := range e.warnings(time.Now()) {
				slog.Warn(line)
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// reloads counts them. Its counters are written by one goroutine.
type reloads struct {
	done, failed metric.Counter
	ok           metric.Gauge // 1 if the last one succeeded, or there was none
	last         metric.Gauge // seconds since 1970 of the last that succeeded, the start at first
}

// note tells how a reload went.
func (r *reloads) note(err error, now time.Time) {
	if err != nil {
		r.failed.Inc()
		r.ok.Set(0)
		slog.Error("not reloaded, all goes on as before", "error", err)
		return
	}
	r.done.Inc()
	r.start(now)
}

func (r *reloads) start(now time.Time) {
	r.ok.Set(1)
	r.last.Set(now.Unix())
}

// reloadStats is what the statistics tell of them.
type reloadStats struct {
	Done   uint64 `json:"done" metric:"counter" help:"Reloads that succeeded."`
	Failed uint64 `json:"failed" metric:"counter" help:"Reloads that changed nothing because of an error."`
	OK     int64  `json:"last_ok" metric:"gauge" help:"1 if the last reload succeeded, or there was none."`
	Last   int64  `json:"last_success_timestamp_seconds" metric:"gauge" help:"When files were last read with success, in seconds since 1970: at the start or by a reload."`
}

func (r *reloads) stats() reloadStats {
	return reloadStats{r.done.Load(), r.failed.Load(), r.ok.Load(), r.last.Load()}
}
