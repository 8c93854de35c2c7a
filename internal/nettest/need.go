package nettest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

//go:embed programs.txt
var programs string

// Need skips the test, naming what to install, if one of the programs is
// missing. With CI set in the environment it fails the test instead. Programs
// are looked up in $PATH and the directories for administrators, where Debian
// keeps servers. A name that starts with a slash is a file that must exist, such as
// a header.
func Need(t T, names ...string) {
	t.Helper()
	var missing, packages []string
	for _, name := range names {
		if isThere(name) {
			continue
		}
		missing = append(missing, name)
		packages = append(packages, debianPackages(name)...)
	}
	if len(missing) == 0 {
		return
	}
	reason := fmt.Sprintf("needs %s: apt-get install %s", strings.Join(missing, ", "),
		strings.Join(packages, " "))
	if os.Getenv("CI") != "" {
		t.Fatalf("%s", reason)
	}
	t.Skipf("%s", reason)
}

// debianPackages returns the packages to install for a program: by default one of the same name.
func debianPackages(program string) []string {
	for line := range strings.Lines(programs) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == program {
			return fields[1:]
		}
	}
	return []string{program}
}

func isThere(name string) bool {
	if strings.HasPrefix(name, "/") {
		_, err := os.Stat(name)
		return err == nil
	}
	_, err := lookPath(name)
	return err == nil
}

func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil || strings.Contains(program, "/") {
		return path, err
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(dir + "/" + program); err == nil {
			return path, nil
		}
	}
	return "", err
}
