// Command image writes an OCI image layout with one static program, from scratch and without a
// daemon: the same bytes for the same program and time.
//
//	image -program bin/shipped/reprise -version v1.2.3 -arch amd64 -o bin/image [-tar bin/image.tar]
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// unprivileged is the user that the program runs as: a number, since the image has no list of
// users.
const unprivileged = 65532

// The media types of the image specification.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("image: ")
	program := flag.String("program", "", "the static `file`")
	version := flag.String("version", "", "its version, and the image's tag")
	arch := flag.String("arch", "amd64", "its architecture, as Go names it")
	out := flag.String("o", "", "`directory` of the layout, which is made anew")
	archive := flag.String("tar", "",
		"also a `file` with the layout, for docker load and podman load")
	flag.Parse()
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		log.Fatal("set SOURCE_DATE_EPOCH to the image's time, in seconds since 1970")
	}
	l := layout{dir: *out, made: time.Unix(seconds, 0).UTC()}
	if err := l.write(*program, *version, *arch); err != nil {
		log.Fatal(err)
	}
	if *archive == "" {
		return
	}
	if err := l.pack(*archive); err != nil {
		log.Fatal(err)
	}
}

// A layout is a directory in the form of the image specification.
type layout struct {
	dir  string
	made time.Time
}

// A descriptor names a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

func (l *layout) write(program, version, arch string) error {
	if l.dir == "" {
		return errors.New("say -o DIRECTORY")
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	plain, err := l.files(data)
	if err != nil {
		return err
	}
	layer, err := l.blob(typeLayer, compressed(plain))
	if err != nil {
		return err
	}
	config, err := l.blobJSON(typeConfig, l.config(arch, plain))
	if err != nil {
		return err
	}
	labels := l.labels(version)
	manifest, err := l.blobJSON(typeManifest, map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": config,
		"layers": []descriptor{layer}, "annotations": labels,
	})
	if err != nil {
		return err
	}
	manifest.Platform = &platform{arch, "linux"}
	manifest.Annotations = map[string]string{"org.opencontainers.image.ref.name": version}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": typeIndex,
		"manifests": []descriptor{manifest},
	})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(l.dir, "index.json"), index, 0o644),
		os.WriteFile(filepath.Join(l.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`),
			0o644),
	)
}

func (l *layout) labels(version string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":   "reprise",
		"org.opencontainers.image.version": version,
		"org.opencontainers.image.created": l.made.Format(time.RFC3339),
	}
}

// config says how the image is run: reprise, as an unprivileged user, with the file that is
// mounted.
func (l *layout) config(arch string, layer []byte) any {
	return map[string]any{
		"created": l.made.Format(time.RFC3339), "architecture": arch, "os": "linux",
		"config": map[string]any{
			"User":       fmt.Sprintf("%d:%d", unprivileged, unprivileged),
			"Entrypoint": []string{"/reprise"}, "Cmd": []string{"/etc/reprise/reprise.ini"},
			"Env": []string{"PATH=/"}, "WorkingDir": "/", "StopSignal": "SIGTERM",
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
		"history": []any{map[string]any{
			"created":    l.made.Format(time.RFC3339),
			"created_by": "make image",
		}},
	}
}

// files returns the content of the image, as a tar: the program, and directories for mounts and
// files made at run time.
func (l *layout) files(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range []*tar.Header{
		{Name: "etc/", Mode: 0o755},
		{Name: "etc/reprise/", Mode: 0o755},
		{Name: "run/", Mode: 0o755},
		{Name: "run/reprise/", Mode: 0o750, Uid: unprivileged, Gid: unprivileged},
		{Name: "tmp/", Mode: 0o1777},
	} {
		h.Typeflag, h.ModTime, h.Format = tar.TypeDir, l.made, tar.FormatPAX
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
	}
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: "reprise", Mode: 0o755, Size: int64(len(program)),
		ModTime: l.made, Format: tar.FormatPAX,
	}
	if err := w.WriteHeader(h); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	return out.Bytes(), w.Close()
}

func compressed(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is one
	_, _ = w.Write(data)                                    // to memory, which does not fail
	_ = w.Close()
	return out.Bytes()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (l *layout) blobJSON(mediaType string, v any) (descriptor, error) {
	data, err := json.Marshal(v) // it sorts the keys of maps
	if err != nil {
		return descriptor{}, err
	}
	return l.blob(mediaType, data)
}

func (l *layout) blob(mediaType string, data []byte) (descriptor, error) {
	d := descriptor{MediaType: mediaType, Digest: digest(data), Size: len(data)}
	dir := filepath.Join(l.dir, "blobs", "sha256")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return d, err
	}
	return d, os.WriteFile(filepath.Join(dir, d.Digest[len("sha256:"):]), data, 0o644)
}

// pack writes the layout into one file.
func (l *layout) pack(archive string) error {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(l.dir, path)
		if err != nil {
			return err
		}
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: 0o644,
			Size: int64(len(data)), ModTime: l.made,
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return os.WriteFile(archive, out.Bytes(), 0o644)
}
