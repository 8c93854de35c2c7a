package schedule_test

import (
	"fmt"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/schedule"
)

// The secrets of TLS 1.3 follow each other; keys are derived from each.
func ExampleSchedule() {
	var s schedule.Scratch
	defer s.Clear()
	var k schedule.Schedule
	defer k.Clear()

	shared, transcript := make([]byte, 32), make([]byte, 32) // of key exchange and hellos
	var traffic [32]byte
	k.Start(&s, primitive.SHA256, nil) // no PSK
	k.Next(&s, shared)
	k.Derive(&s, traffic[:], "s hs traffic", transcript)
	fmt.Printf("%x\n", traffic[:8])
	// Output: 629553f857f02e91
}
