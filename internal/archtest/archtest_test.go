package archtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "reprise"

// layers says for each directory at the top which others the packages in it may import. All may
// import sharedLeaves, and packages in their own directory; "internal" here means every leaf in it.
var layers = map[string][]string{
	"cmd":        {"config", "node", "engine", "tlsconn", "replicate", "internal"},
	"node":       {"config", "engine", "tlsconn", "sessions", "cache", "replicate", "backend", "stats", "internal"},
	"config":     {},
	"engine":     {"tlsconn", "backend"},
	"tlsconn":    {},
	"sessions":   {"tlsconn", "cache", "replicate"},
	"cache":      {},
	"replicate":  {},
	"backend":    {},
	"stats":      {},
	"e2e":        {},
	"benchmarks": {"config", "engine", "tlsconn", "cache", "replicate", "backend", "stats", "internal"},
	"internal":   {},
	"packaging":  {},
}

// sharedLeaves hold metrics, time, queues of bytes, what makes a net.Conn of them, and the URLs and
// options that one package checks and another takes.
var sharedLeaves = []string{
	"internal/metric", "internal/boottime", "internal/queue", "internal/memconn", "internal/storeurl",
	"internal/tuning",
}

// testLeaves are for tests, and for the demo, which is a visible test.
var testLeaves = []string{
	"internal/testpki", "internal/nettest", "internal/hostile", "internal/timeline",
}

// inside are the tests in e2e that need a part of the program in the test's own process: one fills
// the memory of a node, one is a faulty successor.
var inside = map[string][]string{
	"e2e/fleet/join_test.go":         {"config", "internal/asynclog", "node", "tlsconn"},
	"e2e/operations/upgrade_test.go": {"internal/handover"},
}

// gnetPackage is the only one that imports gnet, so that its traps are handled, and it could be
// replaced, in one place; reactorLayers build on it.
const gnetPackage = "internal/reactor"

var reactorLayers = []string{"engine", "replicate"}

// limitPackage counts the connections and requests of clients for the engine; node sets it up.
const limitPackage = "internal/clientlimit"

// x25519Files import circl besides tlsconn/primitive, which package replicate must not import: the
// introduction of nodes needs it because the scalar of crypto/ecdh stays in memory that cannot be
// wiped.
var x25519Files = []string{"replicate/wire/noise.go"}

// cgoFile is the only one with cgo, in a build with its own tag.
const cgoFile = "internal/libcrypto/openssl.go"

// cacheModules are the only modules beyond the standard library that package
// cache needs.
var cacheModules = []string{"golang.org/x/sys", "github.com/klauspost/cpuid"}

// emptyNames say nothing about a package's subject.
var emptyNames = []string{"util", "utils", "helper", "helpers", "common", "misc"}

// source is one file to check, of any operating system and build tag.
type source struct {
	path    string   // from the module's root: "engine/poller.go"
	imports []string // as written: "reprise/tlsconn"
}

func (s source) pkg() string   { return path.Dir(s.path) }
func (s source) isTest() bool  { return strings.HasSuffix(s.path, "_test.go") }
func (s source) layer() string { return layerOf(s.path) }

func layerOf(p string) string {
	top, _, _ := strings.Cut(p, "/")
	return top
}

// violations returns a line for each rule that s breaks.
func violations(s source) []string {
	var broken []string
	report := func(format string, args ...any) {
		broken = append(broken, s.path+" "+fmt.Sprintf(format, args...))
	}
	if _, ok := layers[s.layer()]; !ok {
		report("is in no known directory: add %q to the table in internal/archtest", s.layer())
	}
	for _, element := range strings.Split(s.pkg(), "/") {
		if slices.Contains(emptyNames, element) {
			report("is in a package whose name, %q, says nothing about its subject", element)
		}
	}
	for _, imported := range s.imports {
		switch ours, isOurs := strings.CutPrefix(imported, module+"/"); {
		case imported == "C" && s.path != cgoFile:
			report("uses cgo: one static binary for every system is a promise")
		case isOurs && !mayImport(s, ours):
			report("must not import %s", imported)
		case within(imported, "github.com/panjf2000/gnet") && s.pkg() != gnetPackage:
			report("must not import gnet: only %s may", gnetPackage)
		case (within(imported, "github.com/cloudflare/circl") || within(imported, "filippo.io/edwards25519")) &&
			s.pkg() != "tlsconn/primitive" && !slices.Contains(x25519Files, s.path):
			report("must not import %s: cryptography comes from tlsconn/primitive", imported)
		case (within(imported, "github.com/caddyserver/certmagic") || within(imported, "github.com/mholt/acmez")) && s.pkg() != "internal/acme":
			report("must not import %s: only internal/acme may", imported)
		case within(imported, "github.com/flynn/noise") && !s.isTest():
			report("must not import %s: its keys stay in memory; it is what tests compare with", imported)
		case !isOurs && s.layer() == "cache" && !s.isTest() && !isStandard(imported) &&
			!slices.ContainsFunc(cacheModules, func(m string) bool { return within(imported, m) }):
			report("must not import %s: package cache needs the standard library, %s only", imported, strings.Join(cacheModules, ", "))
		}
	}
	return broken
}

// mayImport reports whether s may import one of our packages.
func mayImport(s source, ours string) bool {
	switch {
	case ours == s.pkg(), slices.Contains(sharedLeaves, ours):
		return true
	case slices.Contains(inside[s.path], ours):
		return true
	case ours == gnetPackage:
		return slices.Contains(reactorLayers, s.layer())
	case ours == limitPackage:
		return s.layer() == "engine" || s.layer() == "node" || s.layer() == "benchmarks"
	case slices.Contains(testLeaves, ours):
		return s.isTest() || s.layer() == "e2e" || strings.HasPrefix(s.path, "cmd/reprise/demo") || s.layer() == "benchmarks"
	case layerOf(ours) == s.layer():
		return s.layer() != "internal" // these are leaves to each other as well
	default:
		return slices.Contains(layers[s.layer()], layerOf(ours))
	}
}

// within reports whether an import path is that of a module or of a package in
// it, be it of a later major version.
func within(imported, mod string) bool {
	return imported == mod || strings.HasPrefix(imported, mod+"/")
}

// isStandard reports whether an import path is of the standard library: those of
// modules start with a host name.
func isStandard(imported string) bool { return !strings.Contains(layerOf(imported), ".") }

// TestImports checks every file of the module against the rules.
func TestImports(t *testing.T) {
	sources := load(t)
	for _, s := range sources {
		for _, line := range violations(s) {
			t.Error(line)
		}
	}
	// Finding this file proves that the module was searched.
	if !slices.ContainsFunc(sources, func(s source) bool { return s.path == "internal/archtest/archtest_test.go" }) {
		t.Errorf("this file is not among the %d files found", len(sources))
	}
}

// load lists the module's packages and reads the imports of their files. A file that does not
// compile has imports all the same.
func load(t *testing.T) []source {
	t.Helper()
	list := exec.Command("go", "list", "-e", "-find", "-json", module+"/...")
	list.Stderr = t.Output()
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var sources []source
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			ImportPath, Dir                                              string
			GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&pkg); err == io.EOF {
			return sources
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		dir := strings.TrimPrefix(pkg.ImportPath, module+"/")
		for _, name := range slices.Concat(pkg.GoFiles, pkg.CgoFiles, pkg.IgnoredGoFiles, pkg.TestGoFiles,
			pkg.XTestGoFiles) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, name), nil,
				parser.ImportsOnly)
			if err != nil {
				t.Error(err)
				continue
			}
			s := source{path: path.Join(dir, name)}
			for _, spec := range file.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				s.imports = append(s.imports, imported)
			}
			sources = append(sources, s)
		}
	}
}

// TestRules checks the rules themselves with files that keep or break them. It is long because it
// is a table.
func TestRules(t *testing.T) {
	for _, tc := range []struct {
		file     string
		imported string
		want     string // part of the one violation; empty if there must be none
	}{
		{"engine/loop.go", "reprise/tlsconn", ""},
		{"engine/loop.go", "reprise/internal/metric", ""},
		{"engine/loop.go", "reprise/cache", "must not import reprise/cache"},
		{"engine/loop.go", "reprise/cmd/reprise", "must not import"},
		{"internal/reactor/reactor.go", "github.com/panjf2000/gnet/v2/pkg/netpoll", ""},
		{"engine/loop.go", "reprise/internal/reactor", ""},
		{"replicate/poller.go", "reprise/internal/reactor", ""},
		{"replicate/repeater/repeater.go", "reprise/internal/reactor", ""},
		{"cmd/reprise/main.go", "reprise/internal/reactor", "must not import"},
		{"backend/pool.go", "reprise/internal/reactor", "must not import"},
		{"replicate/poller.go", "github.com/panjf2000/gnet/v2/pkg/netpoll", "must not import gnet"},
		{"engine/loop.go", "github.com/panjf2000/gnet/v2", "must not import gnet"},
		{"internal/acme/client.go", "github.com/caddyserver/certmagic", ""},
		{"node/acme.go", "github.com/caddyserver/certmagic", "only internal/acme may"},
		{"engine/poller_test.go", "github.com/panjf2000/gnet/v2", "must not import gnet"},
		{"cache/poller.go", "github.com/panjf2000/gnet/v2", "must not import gnet"},
		{"tlsconn/conn.go", "reprise/engine", "must not import"},
		{"tlsconn/conn.go", "reprise/cache", "must not import"},
		{"tlsconn/conn_test.go", "reprise/tlsconn", ""},
		{"tlsconn/conn_test.go", "reprise/cache", "must not import"},
		{"tlsconn/conn_test.go", "reprise/internal/testpki", ""},
		{"tlsconn/conn.go", "reprise/internal/testpki", "must not import"},
		{"cache/cache.go", "golang.org/x/sys/cpu", ""},
		{"cache/cache.go", "github.com/klauspost/cpuid/v2", ""},
		{"cache/cache.go", "crypto/subtle", ""},
		{"cache/cache.go", "github.com/maypok86/otter/v2", "package cache needs"},
		{"cache/cache.go", "golang.org/x/sync/singleflight", "package cache needs"},
		{"cache/bench_test.go", "github.com/maypok86/otter/v2", ""},
		{"backend/uwsgi/packet.go", "reprise/backend", ""},
		{"backend/pick.go", "reprise/backend/uwsgi", ""},
		{"backend/pick.go", "reprise/replicate", "must not import"},
		{"internal/metric/counter.go", "reprise/cache", "must not import"},
		{"internal/metric/counter.go", "reprise/internal/archtest", "must not import"},
		{"internal/testpki/pki_test.go", "reprise/internal/nettest", ""},
		{"cmd/reprise/main.go", "reprise/replicate", ""},
		{"cmd/reprise/main.go", "reprise/internal/testpki", "must not import"},
		{"cmd/reprise/main.go", "reprise/internal/workpool", ""},
		{"engine/loop.go", "reprise/internal/workpool", "must not import"},
		{"cmd/reprise/demo.go", "reprise/internal/testpki", ""},
		{"e2e/clients/resume_test.go", "reprise/internal/nettest", ""},
		{"e2e/clients/resume_test.go", "reprise/engine", "must not import"},
		{"e2e/harness/program.go", "reprise/internal/nettest", ""},
		{"e2e/harness/program.go", "reprise/node", "must not import"},
		{"e2e/fleet/join_test.go", "reprise/node", ""},
		{"e2e/fleet/resume_test.go", "reprise/node", "must not import"},
		{"engine/socket.go", "C", "uses cgo"},
		{"engine/socket_test.go", "C", "uses cgo"},
		{"internal/libcrypto/openssl.go", "C", ""},
		{"engine/helper/x.go", "io", `"helper", says nothing`},
		{"misfit/x.go", "io", "no known directory"},
	} {
		got := violations(source{path: tc.file, imports: []string{tc.imported}})
		if tc.want == "" && len(got) > 0 || tc.want != "" &&
			(len(got) != 1 || !strings.Contains(got[0], tc.want)) {
			t.Errorf("%s importing %s: got %q, want %q", tc.file, tc.imported, got, tc.want)
		}
	}
}
