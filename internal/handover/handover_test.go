package handover

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// ends returns two connected ends.
func ends(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if b, err = newConn(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// pipeFile returns the read end of a pipe with a text in it, which the caller closes.
func pipeFile(t *testing.T, text string) int {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(ends[1], []byte(text)); err != nil {
		t.Fatal(err)
	}
	unix.Close(ends[1])
	return ends[0]
}

// content reads all of a descriptor, and closes it.
func content(t *testing.T, fd int) string {
	t.Helper()
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestMessages: texts and any number of descriptors arrive whole, in order and under
// their names.
func TestMessages(t *testing.T) {
	a, b := ends(t)
	before := descriptors(t)
	for _, n := range []int{0, 1, 2, maxFiles, maxFiles + 1, 150} {
		m := Message{Kind: "some", Body: []byte(fmt.Sprint("body ", n))}
		for i := range n {
			m.Files = append(m.Files, File{fmt.Sprint("file ", i%100), pipeFile(t, fmt.Sprint("text ", i))})
		}
		sent := make(chan error, 1)
		go func() { sent <- a.Send(m, patience) }()
		got, err := b.Receive(patience)
		if err != nil || <-sent != nil {
			t.Fatal(err)
		}
		if got.Kind != m.Kind || !bytes.Equal(got.Body, m.Body) || len(got.Files) != n {
			t.Fatalf("got %q %q with %d files, want %q %q with %d", got.Kind, got.Body, len(got.Files), m.Kind, m.Body, n)
		}
		for i, f := range got.Files {
			if flags, err := unix.FcntlInt(uintptr(f.FD), unix.F_GETFD, 0); err != nil ||
				flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("a descriptor outlives exec: %v", err)
			}
			if want := fmt.Sprint("text ", i); f.Name != m.Files[i].Name || content(t, f.FD) != want {
				t.Errorf("file %d is %q", i, f.Name)
			}
			unix.Close(m.Files[i].FD)
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

// TestEndsAndDelays: an end that closes or sends nothing is noticed.
func TestEndsAndDelays(t *testing.T) {
	a, b := ends(t)
	if _, err := b.Receive(time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silence: got %v", err)
	}
	a.Close()
	if _, err := b.Receive(patience); err != io.EOF {
		t.Errorf("closed: got %v, want EOF", err)
	}
	if err := b.Send(Message{Kind: "some"}, patience); err == nil {
		t.Error("sent to an end that is closed")
	}
}

// TestTooLong: a message that is too long is not sent.
func TestTooLong(t *testing.T) {
	a, _ := ends(t)
	if err := a.Send(Message{Kind: "some", Body: make([]byte, maxPacket)}, patience); err == nil {
		t.Error("sent")
	}
}

// TestGarbage: a packet that is not a message is an error, and its descriptors are closed.
func TestGarbage(t *testing.T) {
	before := descriptors(t)
	for name, text := range map[string]string{
		"no JSON": "garbage", "no kind": "{}", "a name too many": `{"Kind":"some","Names":["a","b"]}`, "none": `{"Kind":"some"}`,
		"another kind": `{"Kind":"some","Names":["a"],"More":true}`,
	} {
		a, b := ends(t)
		fd := pipeFile(t, "")
		_, _, _ = a.c.WriteMsgUnix([]byte(text), unix.UnixRights(fd), nil)
		_ = a.Send(Message{Kind: "other"}, patience)
		if m, err := b.Receive(patience); err == nil {
			t.Errorf("%s: got %+v", name, m)
		}
		unix.Close(fd)
		a.Close()
		b.Close()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

// TestSet: each descriptor is found once, and none is left.
func TestSet(t *testing.T) {
	a, b, c := pipeFile(t, "a"), pipeFile(t, "b"), pipeFile(t, "c")
	s := NewSet([]File{{"one", a}, {"one", b}, {"two", c}})
	if got := s.Take("one", func(fd int) bool { return fd == b }); got != b {
		t.Errorf("got %d, want %d", got, b)
	}
	if got := s.Take("one", nil); got != a {
		t.Errorf("got %d, want %d", got, a)
	}
	if got := s.Take("one", nil); got != -1 {
		t.Errorf("got %d, want none", got)
	}
	if names := s.Close(); !slices.Equal(names, []string{"two"}) {
		t.Errorf("left %q", names)
	}
	if _, err := unix.FcntlInt(uintptr(c), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("a descriptor that is not taken stays open: %v", err)
	}
	var none *Set
	if none.Take("one", nil) != -1 || none.Close() != nil {
		t.Error("a nil set has something")
	}
}

// TestMemory: the content of a file in memory can be used once.
func TestMemory(t *testing.T) {
	f, err := NewMemory("test")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	io.WriteString(f, "a secret")
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	if err := UseMemory(fd, func(b []byte) error {
		if string(b) != "a secret" {
			t.Errorf("got %q", b)
		}
		return failed
	}); err != failed {
		t.Errorf("got %v", err)
	}
	left := make([]byte, 8)
	if _, err := f.ReadAt(left, 0); err != nil || !bytes.Equal(left, make([]byte, 8)) {
		t.Errorf("left %q, %v", left, err)
	}
}

// role says how this program behaves when the tests run it as a successor.
const role = "REPRISE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "echo":
		os.Exit(succeed())
	case "hang":
		select {}
	}
	os.Exit(3)
}

// succeed answers a message with the content of its descriptors.
func succeed() int {
	c, err := Predecessor()
	if err != nil || c == nil || os.Getenv(variable) != "" {
		return 4
	}
	m, err := c.Receive(patience)
	if err != nil {
		return 5
	}
	var all []string
	for _, f := range m.Files {
		b, _ := io.ReadAll(os.NewFile(uintptr(f.FD), ""))
		all = append(all, f.Name+"="+string(b))
	}
	if c.Send(Message{Kind: "answer", Body: []byte(strings.Join(all, ","))}, patience) != nil {
		return 6
	}
	return 0
}

// run starts this program as a successor.
func run(t *testing.T, as string) *Successor {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Command{Path: path, Env: []string{role + "=" + as}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// TestSuccessor: a started program gets the messages sent to it.
func TestSuccessor(t *testing.T) {
	before := descriptors(t)
	s := run(t, "echo")
	fd := pipeFile(t, "text")
	if err := s.Send(Message{Kind: "files", Files: []File{{"a", fd}}}, patience); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Receive(patience); err != nil || string(m.Body) != "a=text" {
		t.Errorf("got %q, %v", m.Body, err)
	}
	<-s.Exited()
	if s.State() != "exit status 0" {
		t.Error(s.State())
	}
	if _, err := s.Receive(patience); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	s.Kill()
	unix.Close(fd)
	if after := descriptors(t); after > before+1 { // the runtime may have opened its epoll set
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

// TestSuccessorFails: a successor that crashes, hangs or is not a program is noticed and ended.
func TestSuccessorFails(t *testing.T) {
	s := run(t, "crash")
	if _, err := s.Receive(patience); err != io.EOF || s.State() != "exit status 3" {
		t.Errorf("crash: got %v, %s", err, s.State())
	}
	s = run(t, "hang")
	if _, err := s.Receive(10 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("hang: got %v", err)
	}
	s.Kill()
	if s.State() != "signal: killed" {
		t.Errorf("hang: %s", s.State())
	}
	if _, err := Start(Command{Path: "/nonexistent"}); err == nil {
		t.Error("started nothing")
	}
}

// TestNoPredecessor: a program that was not started as a successor has none.
func TestNoPredecessor(t *testing.T) {
	if c, err := Predecessor(); c != nil || err != nil {
		t.Errorf("got %v, %v", c, err)
	}
	t.Setenv(variable, "no descriptor")
	if _, err := Predecessor(); err == nil {
		t.Error("took what is no descriptor")
	}
}
