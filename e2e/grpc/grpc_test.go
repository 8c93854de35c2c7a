package grpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// patience is the time-out for events that must happen, on a machine that is busy with other
// things.
const patience = time.Minute

// program is built once for all tests.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("REPRISE_BIN"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "reprise-grpc")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "reprise")
	out, err := exec.Command("go", "build", "-C", "../..", "-buildvcs=false", "-o", path, "./cmd/reprise").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil && os.Getenv("REPRISE_BIN") == "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// A node is a process in front of a service, with its clients' configuration.
type node struct {
	*service
	*nettest.Process
	addr, stats string
	credentials credentials.TransportCredentials
}

// start runs a node with a service, and with others besides.
func start(t *testing.T, others ...*service) *node {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{service: newService(t), addr: nettest.FreeAddr(t), stats: nettest.FreeAddr(t)}
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	n.credentials = credentials.NewClientTLSFromCert(pki.CA.Pool(), "localhost")
	args := []string{
		"--https2=addr=" + n.addr + ",cert=" + cert.CertFile + ",key=" + cert.KeyFile, "--http-to=h2c://" + n.service.addr,
		"--http-processes=1", "--stats=" + n.stats, "--log-format=json", "--drain-timeout=1s",
	}
	for _, other := range others {
		args = append(args, "--http-to=h2c://"+other.addr)
	}
	n.Process = nettest.Start(t, nettest.Command{Path: path, Timeout: patience, Args: args},
		nettest.Prints(`^\{.*"msg":"serving".*\}$`))
	return n
}

func (n *node) client(t *testing.T) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(n.addr, grpc.WithTransportCredentials(n.credentials))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// context ends a call that hangs.
func (n *node) context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestUnary(t *testing.T) {
	n := start(t)
	c := n.client(t)
	var head, tail metadata.MD
	ctx := metadata.AppendToOutgoingContext(n.context(t), "shout", "loud")
	got := new(text)
	if err := c.Invoke(ctx, "/test.Shout/Unary", wrapperspb.String("hello"), got, grpc.Header(&head),
		grpc.Trailer(&tail)); err != nil || got.Value != "HELLO" {
		t.Fatalf("got %v, %v", got, err)
	}
	if !slices.Equal(head["shout-head"], []string{"loud"}) || !slices.Equal(tail["shout-tail"], []string{"that was it"}) ||
		!slices.Equal(tail["shout-bin"], []string{"\x00\xff"}) {
		t.Errorf("got head %v, trailers %v", head, tail)
	}
	err := c.Invoke(ctx, "/test.Shout/Unary", wrapperspb.String("fail"), got, grpc.Trailer(&tail))
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "not now: 100 % no" ||
		len(tail["shout-tail"]) != 1 {
		t.Errorf("got %v, trailers %v", err, tail)
	}
	if err := c.Invoke(ctx, "/test.Shout/None", wrapperspb.String("x"), got); status.Code(err) != codes.Unimplemented {
		t.Errorf("of a method that is not there: got %v", err)
	}
	long := strings.Repeat("long ", 600_000) // 3 MB, many windows
	if err := c.Invoke(ctx, "/test.Shout/Unary", wrapperspb.String(long), got); err != nil ||
		got.Value != strings.ToUpper(long) {
		t.Errorf("of a long message: got %d bytes, %v", len(got.Value), err)
	}
}

func TestServerStream(t *testing.T) {
	n := start(t)
	stream, err := n.client(t).NewStream(n.context(t), &description.Streams[0], "/test.Shout/Server")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stream.SendMsg(wrapperspb.String("one two three")), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ONE", "TWO", "THREE"} {
		expect(t, stream, want)
	}
	if err := stream.RecvMsg(new(text)); !errors.Is(err, io.EOF) || len(stream.Trailer()["shout-tail"]) != 1 {
		t.Errorf("got %v, trailers %v", err, stream.Trailer())
	}
}

func TestClientStream(t *testing.T) {
	n := start(t)
	stream, err := n.client(t).NewStream(n.context(t), &description.Streams[1], "/test.Shout/Client")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"one", "two", "three"} {
		if err := stream.SendMsg(wrapperspb.String(word)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	expect(t, stream, "ONE TWO THREE")
}

// TestClientStreamRefused: a response before the end of a request ends the call.
func TestClientStreamRefused(t *testing.T) {
	n := start(t)
	stream, err := n.client(t).NewStream(n.context(t), &description.Streams[1], "/test.Shout/Client")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(wrapperspb.String("enough")); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(text)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

// TestBothStreams: each message is answered before the next is sent.
func TestBothStreams(t *testing.T) {
	n := start(t)
	stream, err := n.client(t).NewStream(n.context(t), &description.Streams[2], "/test.Shout/Both")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := stream.SendMsg(wrapperspb.String(fmt.Sprint("word ", i))); err != nil {
			t.Fatal(err)
		}
		expect(t, stream, fmt.Sprint("WORD ", i))
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(text)); status.Code(err) != codes.AlreadyExists ||
		status.Convert(err).Message() != "said it all" {
		t.Errorf("got %v", err)
	}
}

// TestDeadline: a call's deadline reaches the backend, and ends the call there too.
func TestDeadline(t *testing.T) {
	n := start(t)
	c := n.client(t)
	if err := c.Invoke(n.context(t), "/test.Shout/Unary", wrapperspb.String("hello"), new(text)); err != nil { // all stands now
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := c.Invoke(ctx, "/test.Shout/Unary", wrapperspb.String("wait"), new(text))
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if left := n.receive(t, n.deadlines); left <= 0 || left > 2*time.Second {
		t.Errorf("the backend's deadline is %v away", left)
	}
	n.ends(t)
}

// TestCancel: a cancelled call is cancelled at the backend, even in the middle of the response, and
// a client that leaves cancels its calls.
func TestCancel(t *testing.T) {
	n := start(t)
	c := n.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Invoke(ctx, "/test.Shout/Unary", wrapperspb.String("wait"), new(text)) }()
	n.receive(t, n.deadlines)
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	n.ends(t)

	for _, end := range []func(cancel, hangUp func()){
		func(cancel, _ func()) { cancel() },
		func(_, hangUp func()) { hangUp() },
	} {
		ctx, cancel := context.WithCancel(n.context(t))
		other := n.client(t)
		stream, err := other.NewStream(ctx, &description.Streams[0], "/test.Shout/Server")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(wrapperspb.String("one wait two")); err != nil {
			t.Fatal(err)
		}
		expect(t, stream, "ONE")
		end(cancel, func() { other.Close() })
		n.ends(t)
		cancel()
	}
}

// TestMany: 20 clients with 50 calls each at once share few connections to the backend, and no call
// is lost.
func TestMany(t *testing.T) {
	const clients, calls = 20, 50
	n := start(t)
	streams := make(chan grpc.ClientStream, clients*calls)
	var wg sync.WaitGroup
	for range clients {
		c := n.client(t)
		wg.Go(func() {
			for i := range calls {
				stream, err := c.NewStream(n.context(t), &description.Streams[2], "/test.Shout/Both")
				if err == nil {
					err = stream.SendMsg(wrapperspb.String(fmt.Sprint("call ", i)))
				}
				if err != nil {
					t.Error(err)
					return
				}
				streams <- stream
			}
		})
	}
	wg.Wait()
	close(streams)
	nettest.Eventually(t, patience, func() bool { return n.open.Load() == clients*calls }, "%d calls are open",
		n.open.Load())
	if conns := n.accepted.Load(); conns > 4 { // of 256 calls each
		t.Errorf("%d connections to the backend for %d calls", conns, clients*calls)
	}
	if s := n.poolStats(t); s.Streams != clients*calls || s.Conns != n.accepted.Load() {
		t.Errorf("the statistics say %+v", s)
	}
	for stream := range streams {
		m := new(text)
		if err := errors.Join(stream.RecvMsg(m), stream.CloseSend()); err != nil ||
			!strings.HasPrefix(m.Value, "CALL ") {
			t.Fatalf("got %v, %v", m, err)
		}
		if err := stream.RecvMsg(m); status.Code(err) != codes.AlreadyExists {
			t.Fatalf("got %v", err)
		}
	}
}

// TestGracefulStop: no call is lost when one of two servers stops gracefully under load: GOAWAY in
// two steps, with calls in progress served.
func TestGracefulStop(t *testing.T) {
	other := newService(t)
	n := start(t, other)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		c := n.client(t)
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				got := new(text)
				if err := c.Invoke(n.context(t), "/test.Shout/Unary", wrapperspb.String("hello"), got); err != nil || got.Value != "HELLO" {
					t.Errorf("call %d: got %v, %v", i, got, err)
					return
				}
			}
		})
	}
	nettest.Eventually(t, patience, func() bool {
		return n.accepted.Load() > 0 &&
			other.accepted.Load() > 0
	}, "both are called")
	other.server.GracefulStop()
	before := n.poolStats(t)
	close(stop)
	wg.Wait()
	if before.Conns > 2 { // the one that ends may not be over
		t.Errorf("the statistics say %+v", before)
	}
}

func expect(t *testing.T, stream grpc.ClientStream, want string) {
	t.Helper()
	got := new(text)
	if err := stream.RecvMsg(got); err != nil || got.Value != want {
		t.Fatalf("got %q, %v; want %q", got.Value, err, want)
	}
}

// ends waits for a call to be cancelled at the backend.
func (n *node) ends(t *testing.T) {
	t.Helper()
	select {
	case <-n.cancelled:
	case <-time.After(patience):
		t.Fatal("the backend was not told")
	}
}

func (n *node) receive(t *testing.T, from chan time.Duration) time.Duration {
	t.Helper()
	select {
	case d := <-from:
		return d
	case <-time.After(patience):
		t.Fatal("the call has not come")
		return 0
	}
}

// poolStats is what the node says of its connections to the backend.
type poolStats struct {
	Conns   int64 `json:"h2c_connections"`
	Streams int64 `json:"h2c_streams"`
}

func (n *node) poolStats(t *testing.T) poolStats {
	t.Helper()
	conn, err := net.Dial("tcp", n.stats)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var s struct {
		Backends struct{ Pools []poolStats }
	}
	body, err := io.ReadAll(conn)
	if err := errors.Join(err, json.Unmarshal(body, &s)); err != nil || len(s.Backends.Pools) != 1 {
		t.Fatalf("%v in %s", err, body)
	}
	return s.Backends.Pools[0]
}
