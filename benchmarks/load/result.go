package load

import "time"

// Result is what a run measured, from OnStart to OnEnd. Idle and SlowReader also count their
// handshakes, which come before.
type Result struct {
	Ops        int64         `json:"ops"`    // successful ones
	Errors     int64         `json:"errors"` // failed ones
	Elapsed    time.Duration `json:"elapsed_ns"`
	Resumed    int64         `json:"resumed"`    // of Handshakes, as the client saw it
	Handshakes int64         `json:"handshakes"` // TLS handshakes completed
	// of operations; at a rate: from when they were due
	Latency   Histogram `json:"latency"`
	Handshake Histogram `json:"handshake"` // TLS only, without the TCP connect
	// at a rate: how late the generator was for operations it was free to send
	Late       Histogram        `json:"late"`
	Bytes      int64            `json:"bytes"` // bodies or echoes received (Upload: sent)
	FirstError string           `json:"first_error,omitempty"`
	ErrorKinds map[string]int64 `json:"error_kinds,omitempty"` // by errorKind's names
	// handshakes by "TLS 1.3 TLS_AES_128_GCM_SHA256 X25519"
	Negotiated map[string]int64 `json:"negotiated,omitempty"`
	// CPU: spent; RSS and PSS: growth from before the first connection to OnEnd
	Server Usage `json:"server"`
	// spent by this whole process: near Elapsed for each CPU it has, it measures itself
	ClientCPU time.Duration `json:"client_cpu_ns"`
}

// PerSecond is the rate of successful operations.
func (r Result) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Ops) / r.Elapsed.Seconds()
}
