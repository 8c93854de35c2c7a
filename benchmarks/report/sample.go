package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The files of a directory of results.
const (
	environmentFile = "environment.json"
	samplesFile     = "samples.jsonl"
	tableFile       = "results.md"
)

// Environment is what a reader must know to judge the samples or to repeat them.
type Environment struct {
	Date     string            `json:"date"`
	Command  string            `json:"command"`
	Commit   string            `json:"commit"`
	CPU      string            `json:"cpu"`
	CPULen   int               `json:"cpus"`
	Kernel   string            `json:"kernel"`
	Versions map[string]string `json:"versions"` // by program
	Load     string            `json:"load"`     // load averages before the first measurement
	Notes    []string          `json:"notes"`    // deviations from proper conditions
	Cases    []Case            `json:"cases"`    // in the order in which they ran
}

// Case is one question put to several servers.
type Case struct {
	Name  string  `json:"name"`
	Title string  `json:"title"`
	Unit  string  `json:"unit"`             // of Sample.Figure, of which less is better
	Point string  `json:"point,omitempty"`  // what Sample.Point counts, if the case has points
	Best  bool    `json:"best,omitempty"`   // there are peers for a ratio
	Aim   float64 `json:"aim,omitempty"`    // ratio that Reprise should reach
	AimOf string  `json:"aim_of,omitempty"` // the server that should reach it
	// by point: ratio to the first point that AimOf is to reach
	AimGrowth map[int]float64 `json:"aim_growth,omitempty"`

	Headline bool `json:"headline,omitempty"` // shown in the README
}

// Sample is one measurement of one server. Fields without meaning in a case are zero.
type Sample struct {
	Case    string  `json:"case"`
	Point   int     `json:"point,omitempty"`
	Server  string  `json:"server"`
	OpenSSL bool    `json:"openssl,omitempty"` // one of those the best peer is chosen from
	Round   int     `json:"round"`
	Figure  float64 `json:"figure"` // in the case's unit
	Invalid string  `json:"invalid,omitempty"`

	Ops        int64   `json:"ops,omitempty"`
	Errors     int64   `json:"errors,omitempty"`
	Handshakes int64   `json:"handshakes,omitempty"`
	Resumed    int64   `json:"resumed,omitempty"`
	Seconds    float64 `json:"seconds,omitempty"`
	CPUSeconds float64 `json:"cpu_seconds,omitempty"` // of all the server's processes
	// share of the server's core that other programs took meanwhile
	Others     float64          `json:"others,omitempty"`
	Bytes      int64            `json:"bytes,omitempty"`
	RSS        int64            `json:"rss,omitempty"` // growth since before the first connection
	PSS        int64            `json:"pss,omitempty"`
	Latency    *Latency         `json:"latency_us,omitempty"`
	Negotiated map[string]int64 `json:"negotiated,omitempty"`
	// only in this case, units in the names
	More map[string]float64 `json:"more,omitempty"`
}

// Latency are percentiles in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// PerSecond is the throughput of s, 0 if not measured.
func (s Sample) PerSecond() float64 {
	if s.Seconds == 0 {
		return 0
	}
	return float64(s.Ops) / s.Seconds
}

// Results are a directory of results in memory.
type Results struct {
	Environment Environment
	Samples     []Sample
	Why         string // Markdown: why aims are missed; written by hand, and kept elsewhere
}

// Read reads the directory dir.
func Read(dir string) (Results, error) {
	var r Results
	text, err := os.ReadFile(filepath.Join(dir, environmentFile))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r.Environment); err != nil {
		return r, fmt.Errorf("%s: %w", environmentFile, err)
	}
	f, err := os.Open(filepath.Join(dir, samplesFile))
	if err != nil {
		return r, err
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(f))
	for {
		var s Sample
		switch err := lines.Decode(&s); err {
		case nil:
			r.Samples = append(r.Samples, s)
		case io.EOF:
			return r, nil
		default:
			return r, fmt.Errorf("%s: sample %d: %w", samplesFile, len(r.Samples)+1, err)
		}
	}
}

// Write writes the environment, the samples and all documents made from r into dir.
func (r Results) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	environment, err := json.MarshalIndent(r.Environment, "", "\t")
	if err != nil {
		return err
	}
	var samples []byte
	for _, s := range r.Samples {
		line, err := json.Marshal(s)
		if err != nil {
			return err
		}
		samples = append(append(samples, line...), '\n')
	}
	for name, text := range map[string][]byte{
		environmentFile: append(environment, '\n'),
		samplesFile:     samples,
		tableFile:       []byte(r.table()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return r.plots(dir)
}
