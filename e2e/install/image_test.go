package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A blob is what a descriptor of an image names.
type blob struct {
	MediaType, Digest string
	Size              int
	Annotations       map[string]string
}

// readBlob returns a blob, which must match its digest.
func readBlob(t *testing.T, dir string, b blob) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(b.Digest, "sha256:")))
	if err != nil {
		t.Fatal(err)
	}
	if got := digest(data); got != b.Digest || len(data) != b.Size {
		t.Fatalf("%s: digest %s, %d bytes, want %s, %d", b.MediaType, got, len(data), b.Digest, b.Size)
	}
	return data
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// An imageConfig is how an image is run.
type imageConfig struct {
	Architecture, OS string
	Config           struct {
		User            string
		Entrypoint, Cmd []string
	}
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	}
}

// unpack reads an image and puts its only layer into a new directory.
func unpack(t *testing.T, dir string) (root string, config imageConfig) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct{ Manifests []blob }
	decode(t, text, &index)
	var manifest struct {
		Config blob
		Layers []blob
	}
	decode(t, readBlob(t, dir, index.Manifests[0]), &manifest)
	decode(t, readBlob(t, dir, manifest.Config), &config)
	if len(index.Manifests) != 1 || len(manifest.Layers) != 1 || index.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "v1.2.3" {
		t.Fatalf("index %+v, manifest %+v", index, manifest)
	}
	z, err := gzip.NewReader(bytes.NewReader(readBlob(t, dir, manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil || !slices.Equal(config.RootFS.DiffIDs, []string{digest(plain)}) {
		t.Fatalf("layer %s, want %q: %v", digest(plain), config.RootFS.DiffIDs, err)
	}
	root, err = os.MkdirTemp("", "reprise-image-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(bytes.NewReader(plain)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return root, config
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.Mkdir(path, 0o700)
		} else {
			data, _ := io.ReadAll(r)
			err = os.WriteFile(path, data, 0o700)
		}
		if err == nil {
			err = os.Chmod(path, h.FileInfo().Mode())
		}
		if err == nil && os.Getuid() == 0 {
			err = os.Chown(path, h.Uid, h.Gid)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// inImage starts an image's command as its user, in a root that has nothing else, with a
// configuration in its place.
func inImage(t *testing.T, root string, c imageConfig, config string,
	args ...string,
) *nettest.Process {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, c.Config.Cmd[0]), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	makeDevices(t, root) // as every runtime does
	command := append(append([]string{"--userspec=" + c.Config.User, root}, c.Config.Entrypoint...),
		c.Config.Cmd...)
	return nettest.Start(t, nettest.Command{
		Path: "chroot", Args: append(command, args...),
		Timeout: harness.Patience,
	}, nettest.Prints("msg=serving"))
}

// TestImage: the image is a layout whose digests hold, the same when it is made again, and runs
// as a user that is not root, with nothing in it but the program.
func TestImage(t *testing.T) {
	t.Parallel()
	asRoot(t)
	nettest.Need(t, "make")
	dir := shipped(t, "image")
	archive, err := os.ReadFile(dir + ".tar")
	if err != nil {
		t.Fatal(err)
	}
	root, c := unpack(t, dir)
	if c.OS != "linux" || c.Config.User != "65532:65532" {
		t.Errorf("got %+v", c)
	}
	var files []string
	for _, name := range filesOf(t, root) {
		if info, err := os.Stat(root + name); err == nil && !info.IsDir() {
			files = append(files, name)
		}
	}
	if !slices.Equal(files, []string{"/reprise"}) {
		t.Errorf("the image has %q", files)
	}
	addr := nettest.FreeAddr(t)
	p := inImage(t, root, c, "[reprise]\nhttp = "+addr+"\nhttp-to = 127.0.0.1:9\n")
	wantUser(t, p.Pid(), "65532 65532 65532 65532")
	if told := run(t, 0, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://"+addr+"/"); told != "503" {
		t.Errorf("without a backend: %s", told)
	}
	if status := p.Stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if again, err := os.ReadFile(shipped(t, "image") + ".tar"); err != nil || !bytes.Equal(archive, again) {
		t.Errorf("made again, the image is another one: %v", err)
	}
}

func wantUser(t *testing.T, pid int, want string) {
	t.Helper()
	for _, said := range threads(t, pid) {
		if said["Uid"] != want || said["CapEff"] != "0000000000000000" {
			t.Errorf("a thread of user %s with capabilities %s", said["Uid"], said["CapEff"])
		}
	}
}
