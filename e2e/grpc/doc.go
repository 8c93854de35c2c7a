// Package grpc tests gRPC end to end: grpc-go's client by TLS to a node, which passes its calls on
// to grpc-go's server by HTTP/2 without TLS (h2c).
//
// It consists of tests, and is a module of its own so that nothing else needs gRPC.
package grpc
