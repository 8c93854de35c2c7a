package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"reprise/node"
)

func TestForgetResult(t *testing.T) {
	for _, test := range []struct {
		result node.Forgotten
		out    string
		silent bool
	}{
		{node.Forgotten{Here: 2, Peers: map[string]int{"b": 1, "a": 3}}, "forgotten here: 2\nforgotten at a: 3\nforgotten at b: 1\n", false},
		{node.Forgotten{Peers: map[string]int{"b": 0}}, "forgotten here: 0\nforgotten at b: 0\nno node had such a session: is that what you meant?\n", false},
		{node.Forgotten{Here: 1, Silent: []string{"node c", "session-store redis://h:6379"}}, "forgotten here: 1\n", true},
	} {
		var out bytes.Buffer
		err := printForgotten(&test.result, &out)
		_, atRunTime := errors.AsType[node.RuntimeError](err)
		if out.String() != test.out || atRunTime != test.silent {
			t.Errorf("got %q, %v; want %q, silent %t", out.String(), err, test.out, test.silent)
		}
		for _, name := range test.result.Silent {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%v does not name %s", err, name)
			}
		}
	}
}
