package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// describe fills in the environment without the cases.
func (b *bench) describe() error {
	e := &b.results.Environment
	e.Date = time.Now().Format(time.DateOnly)
	e.Command = "go run ./harness " + strings.Join(os.Args[1:], " ")
	e.Commit = commit("..")
	e.CPULen = len(b.cpus)
	e.Kernel = output("uname", "-r")
	e.CPU = "an unknown processor"
	if info, err := os.Open("/proc/cpuinfo"); err == nil {
		defer info.Close()
		for lines := bufio.NewScanner(info); lines.Scan(); {
			if _, model, ok := strings.Cut(lines.Text(), "model name\t: "); ok {
				e.CPU = model
				break
			}
		}
	}
	loads, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	e.Load = strings.Join(strings.Fields(string(loads))[:3], " ")
	e.Versions = map[string]string{
		"Go":      strings.TrimPrefix(runtime.Version(), "go"),
		"Reprise": strings.TrimPrefix(output(b.reprise, "version"), "reprise "),
	}
	version := regexp.MustCompile(`\d+\.\d+[\w.+-]*`)
	for name, args := range map[string][]string{
		"hitch": {"hitch", "--version"}, "HAProxy": {"haproxy", "-v"}, "nginx": {"nginx", "-v"},
		"h2o":     {"h2o", "-v"},
		"stunnel": {"stunnel4", "-version"}, "uWSGI": {"uwsgi", "--version"},
		"OpenSSL": {"openssl", "version"},
		"wrk":     {"wrk", "-v"}, "h2load": {"h2load", "--version"},
	} {
		if found := version.FindString(output(args[0], args[1:]...)); found != "" {
			e.Versions[name] = found
		}
	}
	if b.repriseBinary != "" {
		b.note("Reprise was " + b.repriseBinary + ", which need not be that commit's.")
	}
	if len(b.cpus) > 1 {
		b.note(fmt.Sprintf("Servers ran on core %d, load generator and backend on cores %s.",
			b.serverCPUs[0], cpuList(b.loadCPUs)))
	}
	return nil
}

// commit names the commit of a checkout, and says if files differ from it that matter: results are
// written there meanwhile, and documents from them.
func commit(dir string) string {
	name := output("git", "-C", dir, "describe", "--always", "--abbrev=12")
	if output("git", "-C", dir, "status", "--porcelain", "--untracked-files=no", "--",
		":(top)", ":(top,exclude)benchmarks/results", ":(top,exclude)*.md") != "" {
		name += "-dirty"
	}
	return name
}

// output is a program's output, whatever its exit code and stream; "" if the program is missing.
func output(name string, args ...string) string {
	out, _ := exec.Command(name, args...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// hasHTTP reports whether this build of Reprise parses HTTP.
func (b *bench) hasHTTP() bool {
	return regexp.MustCompile(`--https\s`).MatchString(output(b.reprise, "--help")) &&
		regexp.MustCompile(`--http-to\s`).MatchString(output(b.reprise, "--help"))
}
