package harness

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
)

// adminTokenText controls every node of a test by TCP.
const adminTokenText = "a-token-of-tests-which-is-no-secret"

// makeAdminToken makes the file with the token, beside the programs that tests build, and
// says in the environment where commands find it.
var makeAdminToken = sync.OnceValues(func() (path string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "reprise-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	made, err := os.CreateTemp(dir, "token") // if others do the same now, the last one stays
	if err != nil {
		return "", err
	}
	_, err = made.WriteString(adminTokenText + "\n")
	path = filepath.Join(dir, "admin.token")
	err = errors.Join(err, made.Close(), os.Rename(made.Name(), path),
		os.Setenv("REPRISE_ADMIN_TOKEN_FILE", path))
	return path, err
})

func adminToken(t *testing.T) string {
	t.Helper()
	path, err := makeAdminToken()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Post sends a command to the admin server.
func (s *Server) Post(path string) (*http.Response, error) {
	request, err := http.NewRequest(http.MethodPost, "http://"+s.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+adminTokenText)
	return http.DefaultClient.Do(request)
}

// Get asks the admin server. The connection is not kept.
func (s *Server) Get(path string) (status int, body string) {
	s.T.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Patience}
	resp, err := client.Get("http://" + s.Admin + path)
	if err != nil {
		s.T.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// GoroutineLen is how many goroutines the process has.
func GoroutineLen(t *testing.T, s *Server) int {
	t.Helper()
	_, profile := s.Get("/debug/pprof/goroutine?debug=1")
	m := regexp.MustCompile(`goroutine profile: total (\d+)`).FindStringSubmatch(profile)
	if m == nil {
		t.Fatalf("not a goroutine profile: %s", profile)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Scrape returns the metrics of an admin server.
func Scrape(t *testing.T, admin string) string {
	t.Helper()
	r, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
