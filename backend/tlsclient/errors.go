package tlsclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
)

// Reason says why there is no TLS with a backend.
type Reason uint8

// The reasons, from a closed list.
const (
	Other       Reason = iota
	WrongName          // the certificate is for another name
	Authority          // its issuer is not trusted
	Expired            // it has expired, or is not valid yet
	Certificate        // something else is wrong with the chain
	Refused            // the backend has refused by an alert
	NotTLS             // it speaks another protocol
	Closed             // it has ended the connection
	TooSlow            // it took too long
	reasons
)

var reasonNames = [reasons]string{
	"other", "name", "authority", "expired", "certificate", "alert", "not_tls", "closed", "timeout",
}

// String returns the reason's name in statistics.
func (r Reason) String() string {
	return reasonNames[r]
}

// Names implements metric.Key.
func (Reason) Names() []string { return reasonNames[:] }

// Unverified reports whether the fault lies in the backend's certificate.
func (r Reason) Unverified() bool { return r >= WrongName && r <= Certificate }

// An Error is why there is no TLS with a backend, or no longer any.
type Error struct {
	Reason Reason
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// The errors that are not crypto/tls's.
var (
	ErrTooSlow error = &Error{TooSlow, errors.New("the handshake took too long")}
	ErrClosed  error = &Error{
		Closed,
		errors.New("the backend closed the connection in the handshake"),
	}

	errTruncated = &Error{
		Closed,
		errors.New("the backend closed the connection without close_notify"),
	}
	errAborted = errors.New("tlsclient: the handshake was aborted")
)

func newError(err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return &Error{classify(err), err}
}

// ReasonOf returns the reason in an error of this package.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return Other
}

func classify(err error) Reason {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return WrongName
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return Authority
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok &&
		invalid.Reason == x509.Expired {
		return Expired
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Certificate
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return NotTLS
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return Refused
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Closed
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return TooSlow
	}
	return Other
}
