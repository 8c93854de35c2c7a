package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"reprise/node"
)

// A refusedError is that a node understood and did not do it, or not all of it.
type refusedError struct{ text string }

func (e refusedError) Error() string { return e.text }

// askAdmin posts to a node's admin server, at host:port or /unix/path, and returns
// its answer. Errors name the command.
func askAdmin(command, admin, pathAndQuery string) ([]byte, error) {
	return askAdminFor(command, admin, pathAndQuery, 30*time.Second)
}

// askAdminFor is askAdmin of what may take so long, or as long as it likes if that is 0.
func askAdminFor(command, admin, pathAndQuery string, patience time.Duration) ([]byte, error) {
	client := &http.Client{Timeout: patience}
	target := "http://" + admin
	if strings.HasPrefix(admin, "/") {
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", admin)
		}}
		target = "http://admin"
	}
	response, err := client.Post(target+pathAndQuery, "", nil)
	if err != nil {
		return nil, node.RuntimeError{Err: fmt.Errorf("%s: %w: is it the admin address of a running node?", command, err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, node.RuntimeError{Err: err}
	}
	if response.StatusCode == http.StatusUnprocessableEntity {
		return nil, refusedError{command + ": " + strings.TrimSpace(string(body))}
	}
	if response.StatusCode != http.StatusOK {
		return nil, node.RuntimeError{Err: fmt.Errorf("%s: %s", command, strings.TrimSpace(string(body)))}
	}
	return body, nil
}
