package documented

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentedUnit: the unit of the documents is the one among the examples, and has the options
// that upgrades and restarts need.
func TestDocumentedUnit(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(examples, "systemd", "reprise.service"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../docs/operations/service.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(document), "```ini\n"+string(unit)+"```\n") {
		t.Error("docs/operations/service.md has another unit than docs/examples/systemd")
	}
	for _, want := range []string{"Type=notify\n", "NotifyAccess=main\n", "KillMode=mixed\n", "FileDescriptorStoreMax="} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("no %q", want)
		}
	}
}
