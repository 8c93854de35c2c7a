package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestNamespacesLeaveNothingBehind: two are made and joined, and go. Where none can be made, the
// attempt says so and leaves nothing either.
func TestNamespacesLeaveNothingBehind(t *testing.T) {
	s, err := newNamespaces(2)
	if err != nil {
		if !errors.Is(err, errNoNamespaces) {
			t.Fatalf("got %v, want it to say that there are none here", err)
		}
		return
	}
	inside := append(s.enter(0), "ip", "route", "get", s.host(2))
	out, err := exec.Command(inside[0], inside[1:]...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "dev eth0") {
		t.Errorf("got %v and %s, want the way from one to the other", err, out)
	}
	s.close()
	wantNone(t, s.bridge)
}

// TestFailedNamespacesLeaveNothingBehind: what was made before a failure goes too, and nothing
// else.
func TestFailedNamespacesLeaveNothingBehind(t *testing.T) {
	taken := fmt.Sprintf("rb%dn1", os.Getpid())
	if ip("netns", "add", taken) == nil {
		defer func() {
			if err := ip("netns", "del", taken); err != nil {
				t.Error(err)
			}
		}()
	}
	if _, err := newNamespaces(2); !errors.Is(err, errNoNamespaces) {
		t.Fatalf("got %v, want a failure", err)
	}
	wantNone(t, taken[:len(taken)-2]+"n0")
}

func wantNone(t *testing.T, name string) {
	t.Helper()
	list, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, entry := range list {
		if strings.HasPrefix(entry.Name(), name) {
			t.Errorf("namespace %s is left", entry.Name())
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if strings.HasPrefix(link.Name, name) {
			t.Errorf("link %s is left", link.Name)
		}
	}
}
