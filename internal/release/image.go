package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is who the image runs as: nobody that a machine knows. Injection and the objects of deploy say so, too.
const user = 10001

// source is where the project lives.
const source = "https://github.com/meshc/meshc"

// image is that of all platforms with Linux.
type image struct{ index v1.ImageIndex }

// makeImage makes the image of all platforms with Linux; nil if there is none.
func makeImage(programs []*program) (*image, error) {
	out := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	found := false
	for _, p := range programs {
		if p.os != "linux" {
			continue
		}
		one, err := p.image()
		if err != nil {
			return nil, err
		}
		out = mutate.AppendManifests(out, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.arch}}})
		found = true
	}
	if !found {
		return nil, nil
	}
	return &image{out}, nil
}

// image is that of one platform: two layers, of which the first changes with the roots of trust alone.
func (p *program) image() (v1.Image, error) {
	layers, err := p.layers()
	if err != nil {
		return nil, err
	}
	out := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, entries := range layers {
		packed, err := pack(entries, p.version.time)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		if out, err = mutate.Append(out, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: p.version.time.UTC()}, CreatedBy: "make release"}}); err != nil {
			return nil, err
		}
	}
	c, err := out.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Created = p.os, p.arch, v1.Time{Time: p.version.time.UTC()}
	c.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		Entrypoint: []string{"/meshc"},
		Env:        []string{"HOME=/tmp"},
		WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "meshc",
			"org.opencontainers.image.version":  p.version.name,
			"org.opencontainers.image.source":   source,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(out, c)
}

// layers are what an image is made of: what programs expect of a machine, and the binary with its bill of materials.
func (p *program) layers() ([][]entry, error) {
	text, err := os.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	bill, err := p.bill()
	return [][]entry{machine(), {{"meshc", 0o755, text}, {"meshc.cdx.json", 0o644, bill.text}}}, err
}

// unpack writes the files of an image to a folder, for a builder that copies them.
func (p *program) unpack(dir string) error {
	layers, err := p.layers()
	if err != nil {
		return err
	}
	for _, e := range slices.Concat(layers...) {
		name, mode := filepath.Join(dir, e.name), e.fileMode()
		if mode.IsDir() {
			err = os.MkdirAll(name, 0o755)
		} else {
			err = os.MkdirAll(filepath.Dir(name), 0o755)
			if err == nil {
				err = os.WriteFile(name, e.text, mode)
			}
		}
		if err == nil {
			err = os.Chmod(name, mode) // whatever the umask is
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// machine is what programs look for: users, a folder for what is temporary, and whom to trust. Roots that Mozilla trusts under
// conditions are left out, since a file cannot say so.
func machine() []entry {
	var roots bytes.Buffer
	for r := range bundle.Roots() {
		if r.Constraint == nil {
			_ = pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate}) // a buffer takes everything
		}
	}
	return []entry{
		{"etc/", 0o755, nil},
		{"etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\nmeshc:x:%d:\n", user)},
		{"etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nmeshc:x:%d:%d:meshc:/tmp:/sbin/nologin\n", user, user)},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, roots.Bytes()},
		{"tmp/", 0o1777, nil},
	}
}

// archive is an OCI layout in a tar archive, as docker load, podman load and skopeo read it.
func (i *image) archive(v version) (file, error) {
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		return file{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	place, err := layout.Write(dir, empty.Index)
	if err != nil {
		return file{}, err
	}
	if err := place.AppendIndex(i.index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": v.tag()})); err != nil {
		return file{}, err
	}
	entries, err := files(os.DirFS(filepath.Clean(dir)), "")
	if err != nil {
		return file{}, err
	}
	packed, err := pack(entries, v.time)
	return file{"meshc_" + v.name + "_image.tar", packed}, err
}

// push pushes the image to a repository, by the name of the version.
func (i *image) push(ctx context.Context, repository string, v version) error {
	if i == nil {
		return errors.New("there is no image to push: none of the platforms has Linux")
	}
	ref, err := name.NewTag(repository + ":" + v.tag())
	if err != nil {
		return err
	}
	if err := remote.WriteIndex(ref, i.index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return err
	}
	digest, err := i.index.Digest()
	if err == nil {
		_, err = fmt.Printf("%s@%s\n", ref, digest)
	}
	return err
}
