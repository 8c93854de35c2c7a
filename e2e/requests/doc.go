// Package requests tests HTTP: by HTTP/1.1, HTTP/2 and to uwsgi, with real clients and
// servers, with hostile ones, and under load.
package requests
