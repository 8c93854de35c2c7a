package standard

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"reprise/tlsconn"
)

// Every text that classify looks for must occur in crypto/tls's sources, so that
// a Go upgrade that changes the wording fails here. The failures themselves are
// provoked in failure_test.go, close_test.go and handshake_test.go.
func TestTextsOccurInCryptoTLS(t *testing.T) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("the go command is not installed")
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(goroot)), "src/crypto/tls/*.go"))
	if err != nil || len(files) == 0 {
		t.Skip("the sources of crypto/tls are not installed")
	}
	var source strings.Builder
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for _, text := range texts {
		contains := text.contains
		if got, message, found := strings.Cut(contains, " when waiting for *tls."); found {
			// Made of two type names at run time.
			for _, part := range []string{"type " + got + " struct", "when waiting for", "type " + message + " struct"} {
				wantInSource(t, source.String(), part)
			}
			continue
		}
		wantInSource(t, source.String(), contains)
	}
}

func wantInSource(t *testing.T, source, text string) {
	t.Helper()
	if !strings.Contains(source, text) {
		t.Errorf("crypto/tls does not say %q any more", text)
	}
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		err  error
		want tlsconn.Reason
	}{
		{tlsconn.ErrAborted, tlsconn.ReasonAborted},
		{fmt.Errorf("wrapped: %w", tlsconn.ErrAborted), tlsconn.ReasonAborted},
		{io.EOF, tlsconn.ReasonTruncated},
		{io.ErrUnexpectedEOF, tlsconn.ReasonTruncated},
		{&tls.CertificateVerificationError{Err: errors.New("expired")}, tlsconn.ReasonClientCert},
		{errors.New("something new"), tlsconn.ReasonOther},
	} {
		if got := newError(test.err); got.Reason != test.want || !errors.Is(got, test.err) ||
			got.Error() != test.err.Error() {
			t.Errorf("%v: got %v, want %v", test.err, got.Reason, test.want)
		}
	}
}
