package grpc

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A service is a gRPC server with a method of each kind. Messages are strings, written in
// upper case by all of them.
type service struct {
	server    *grpc.Server
	addr      string
	accepted  atomic.Int64
	open      atomic.Int64 // calls
	cancelled chan error   // of calls that wait until they are
	deadlines chan time.Duration
}

type text = wrapperspb.StringValue

func upper(m *text) *text { return wrapperspb.String(strings.ToUpper(m.Value)) }

var description = grpc.ServiceDesc{
	ServiceName: "test.Shout",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Unary",
		Handler: func(s any, ctx context.Context, decode func(any) error,
			_ grpc.UnaryServerInterceptor,
		) (any, error) {
			m := new(text)
			if err := decode(m); err != nil {
				return nil, err
			}
			return s.(*service).unary(ctx, m)
		},
	}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Server", ServerStreams: true, Handler: serverStream},
		{StreamName: "Client", ClientStreams: true, Handler: clientStream},
		{StreamName: "Both", ServerStreams: true, ClientStreams: true, Handler: bothStreams},
	},
}

func newService(t *testing.T) *service {
	s := &service{cancelled: make(chan error, 10), deadlines: make(chan time.Duration, 10)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	s.server = grpc.NewServer()
	s.server.RegisterService(&description, s)
	go func() { _ = s.server.Serve(countedListener{listener, s}) }()
	t.Cleanup(s.server.Stop)
	return s
}

type countedListener struct {
	net.Listener
	service *service
}

func (l countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.service.accepted.Add(1)
	}
	return conn, err
}

func (s *service) unary(ctx context.Context, m *text) (*text, error) {
	s.open.Add(1)
	defer s.open.Add(-1)
	in, _ := metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs("shout-head", strings.Join(in.Get("shout"), ",")))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("shout-tail", "that was it", "shout-bin", "\x00\xff"))
	switch m.Value {
	case "fail":
		return nil, status.Error(codes.FailedPrecondition, "not now: 100 % no")
	case "wait":
		deadline, _ := ctx.Deadline()
		s.deadlines <- time.Until(deadline)
		<-ctx.Done()
		s.cancelled <- ctx.Err()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return upper(m), nil
}

func serverStream(s any, stream grpc.ServerStream) error {
	m := new(text)
	if err := stream.RecvMsg(m); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("shout-tail", "all words"))
	for word := range strings.FieldsSeq(m.Value) {
		if word == "wait" {
			<-stream.Context().Done()
			s.(*service).cancelled <- stream.Context().Err()
			return nil
		}
		if err := stream.SendMsg(upper(wrapperspb.String(word))); err != nil {
			return err
		}
	}
	return nil
}

func clientStream(_ any, stream grpc.ServerStream) error {
	var words []string
	for {
		m := new(text)
		switch err := stream.RecvMsg(m); {
		case errors.Is(err, io.EOF):
			return stream.SendMsg(upper(wrapperspb.String(strings.Join(words, " "))))
		case err != nil:
			return err
		case m.Value == "enough": // the answer comes before the request is complete
			return status.Error(codes.ResourceExhausted, "enough")
		}
		words = append(words, m.Value)
	}
}

func bothStreams(s any, stream grpc.ServerStream) error {
	service := s.(*service)
	service.open.Add(1)
	defer service.open.Add(-1)
	for {
		m := new(text)
		err := stream.RecvMsg(m)
		if errors.Is(err, io.EOF) {
			return status.Error(codes.AlreadyExists, "said it all")
		}
		if err == nil {
			err = stream.SendMsg(upper(m))
		}
		if err != nil {
			return err
		}
	}
}
