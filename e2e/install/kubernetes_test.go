package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// embedded returns the configuration inside the Kubernetes example.
func embedded(t *testing.T, yaml string) string {
	t.Helper()
	_, text, found := strings.Cut(yaml, "  reprise.ini: |\n")
	text, _, ended := strings.Cut(text, "\n---\n")
	if !found || !ended {
		t.Fatal("the example has no configuration")
	}
	return regexp.MustCompile(`(?m)^    `).ReplaceAllString(text, "")
}

// found returns what the pattern's group matches in the example.
func found(t *testing.T, yaml, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(yaml)
	if m == nil {
		t.Fatalf("the example has no %s", pattern)
	}
	return m[1]
}

// TestKubernetes: the configuration of the example starts in the image as the example's volumes
// have it, answers its probes, and its preStop ends it. No cluster is there to apply it to.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	asRoot(t)
	nettest.Need(t, "make", "curl", "ip", "unshare", "nsenter", "/usr/bin/python3")
	text, err := os.ReadFile(filepath.Join(repository, "docs/examples/kubernetes/reprise.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	yaml := string(text)
	root, c := unpack(t, shipped(t, "image"))
	makeDevices(t, root)
	file := found(t, yaml, `args: \[(\S+)\]`)
	pki := testpki.New(t)
	cert, err := pki.Server(testpki.ECDSA, "localhost").Write(t.TempDir(), "tls")
	if err != nil {
		t.Fatal(err)
	}
	mountVolumes(t, root, yaml, file, cert)
	p := nettest.Start(t, nettest.Command{
		Path: "unshare",
		Args: []string{
			"--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh",
			"chroot", "--userspec=" + c.Config.User, root, c.Config.Entrypoint[0], file,
		},
		Timeout: harness.Patience,
	}, nettest.Prints("msg=serving"))
	inPod := []string{"--net=/proc/" + itoa(p.Pid()) + "/ns/net"}
	nettest.Start(t, nettest.Command{
		Path: "nsenter", Args: append(inPod, "python3", "-u", "-m", "http.server", "8080", "--bind", "127.0.0.1"), Dir: t.TempDir(), Timeout: harness.Patience,
	}, nettest.Prints("Serving HTTP"))
	status := func(args ...string) string {
		args = append(append(inPod, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"), args...)
		return nettest.Run(t, nettest.Command{Path: "nsenter", Args: args, Timeout: harness.Patience}).Stdout
	}
	for _, probe := range []string{"readinessProbe", "livenessProbe"} {
		path := found(t, yaml, probe+`:\s+httpGet: \{path: (\S+), port: admin\}`)
		port := found(t, yaml, `\{name: admin, containerPort: (\d+)\}`)
		nettest.Eventually(t, harness.Patience, func() bool { return status("http://127.0.0.1:"+port+path) == "200" }, "%s does not succeed", probe)
	}
	port := found(t, yaml, `\{name: https, containerPort: (\d+)\}`)
	nettest.Eventually(t, harness.Patience, func() bool {
		return status("--cacert", pki.CAFile, "--connect-to", "localhost:"+port+":127.0.0.1:"+port, "https://localhost:"+port+"/") == "200"
	}, "no answer from the backend")
	drain := strings.Split(found(t, yaml, `preStop:(?s:.*?)command: \[([^\]]+)\]`), ", ")
	run(t, 0, "nsenter", append(append(inPod, "chroot", "--userspec="+c.Config.User, root), append(drain, "--no-wait")...)...)
	p.Match("msg=draining")
	p.Kill()
}

// mountVolumes puts into a root what the example's volumes have, and names that a cluster would
// know.
func mountVolumes(t *testing.T, root, yaml, file string, cert *testpki.Cert) {
	secret := filepath.Join(t.TempDir(), "cluster.secret")
	if err := os.WriteFile(secret, []byte(run(t, 0, harness.Program(t), "secret")), 0o600); err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{"tls/tls.crt": cert.CertFile, "tls/tls.key": cert.KeyFile, "cluster/cluster.secret": secret} {
		run(t, 0, "install", "-D", "-g", "65532", "-m", "0440", from, filepath.Join(root, "etc/reprise", to))
	}
	for path, content := range map[string]string{file: embedded(t, yaml), "/etc/hosts": "127.0.0.1 app localhost\n127.0.0.2 reprise-peers\n127.0.0.3 reprise-peers\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
