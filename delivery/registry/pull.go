package registry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/pieces"
	"github.com/meshc/meshc/internal/limit"
)

// Blobs gives bytes by their digest, where they are at hand.
type Blobs func(digest string) ([]byte, bool)

// PiecesOf gives the pieces of a bundle, since the next has most of them, too.
func PiecesOf(b *bundle.Bundle) Blobs {
	files, err := b.Contents()
	if err != nil {
		return nil
	}
	cut, err := pieces.Cut(files)
	if err != nil {
		return nil // nothing is at hand, and all is fetched
	}
	at := map[string][]byte{}
	for _, p := range cut {
		at[digest.NewDigestFromBytes(digest.SHA256, p.Digest[:]).String()] = p.Data
	}
	return func(d string) ([]byte, bool) { data, ok := at[d]; return data, ok }
}

// Pulled is an artifact that was fetched.
type Pulled struct {
	Ref      Reference // with the digest of the manifest
	Bundle   *bundle.Bundle
	Manifest []byte
	Blobs    map[string][]byte // the layers by digest
	Layers   int
	Fetched  int   // of layers
	Bytes    int64 // of the artifact, manifest included
	Loaded   int64 // of them
}

// Pull fetches a bundle. have gives what is at hand; nil: nothing.
func (c *Client) Pull(ctx context.Context, r Reference, have Blobs) (*Pulled, error) {
	repo, err := c.repository(r)
	if err != nil {
		return nil, err
	}
	m, err := c.manifest(ctx, repo, r)
	if err != nil {
		return nil, err
	}
	out := &Pulled{Ref: r.At(m.descriptor.Digest.String()), Manifest: m.text, Layers: len(m.Layers)}
	data := make([][]byte, len(m.Layers))
	var fetched, loaded atomic.Int64
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	out.Bytes = m.descriptor.Size
	for i, l := range m.Layers {
		out.Bytes += l.Size
		if have != nil {
			if d, ok := have(l.Digest.String()); ok {
				data[i] = d
				continue
			}
		}
		group.Go(func() (err error) {
			if data[i], err = c.blob(inner, repo, l); err == nil {
				fetched.Add(1)
				loaded.Add(l.Size)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, explain(out.Ref, err)
	}
	out.Fetched, out.Loaded = int(fetched.Load()), loaded.Load()+m.descriptor.Size
	if err := out.assemble(m, data); err != nil {
		return nil, err
	}
	return out, nil
}

// Sum is the digest of bytes as OCI writes it.
func Sum(data []byte) string { return digest.FromBytes(data).String() }

// Assemble makes an artifact of what is at hand: its manifest, and blobs that have their digests.
func Assemble(r Reference, text []byte, have Blobs) (*Pulled, error) {
	m := &manifest{descriptor: newBlob(ocispec.MediaTypeImageManifest, text).Descriptor, text: text}
	r = r.At(m.descriptor.Digest.String())
	if err := json.Unmarshal(text, &m.Manifest); err != nil {
		return nil, &Error{Ref: r.String(), Reason: Altered, Message: "has a manifest that cannot be read: " + err.Error()}
	}
	if err := m.isBundle(r); err != nil {
		return nil, err
	}
	out := &Pulled{Ref: r, Manifest: text, Layers: len(m.Layers), Bytes: m.descriptor.Size}
	data := make([][]byte, len(m.Layers))
	for i, l := range m.Layers {
		out.Bytes += l.Size
		var ok bool
		if data[i], ok = have(l.Digest.String()); !ok {
			return nil, &Error{Ref: r.String(), Reason: Missing, Message: fmt.Sprintf("lacks its layer %d, %s", i, l.Digest)}
		}
	}
	if err := out.assemble(m, data); err != nil {
		return nil, err
	}
	return out, nil
}

// Of is the artifact of a bundle that was in no registry.
func Of(b *bundle.Bundle) (*Pulled, error) {
	packed, err := packBundle(b, About{})
	if err != nil {
		return nil, err
	}
	out := &Pulled{Ref: Reference{Digest: packed.manifest.Digest.String()}, Bundle: b, Manifest: packed.manifest.data, Blobs: map[string][]byte{}, Layers: len(packed.blobs) - 1}
	for _, l := range packed.blobs[:out.Layers] {
		out.Blobs[l.Digest.String()] = l.data
	}
	return out, nil
}

// Layers are the digests of the layers that a manifest names.
func Layers(text []byte) (out []string) {
	var m ocispec.Manifest
	if json.Unmarshal(text, &m) != nil {
		return nil // it names nothing
	}
	for _, l := range m.Layers {
		out = append(out, l.Digest.String())
	}
	return out
}

// assemble sets the bundle and the blobs.
func (p *Pulled) assemble(m *manifest, data [][]byte) (err error) {
	p.Blobs = make(map[string][]byte, len(data))
	for i, l := range m.Layers {
		p.Blobs[l.Digest.String()] = data[i]
	}
	p.Bundle, err = assemble(m, data, p.Ref)
	return err
}

// blob fetches one, and again what comes cut short.
func (c *Client) blob(ctx context.Context, repo *remote.Repository, d ocispec.Descriptor) (data []byte, err error) {
	for range 1 + c.options.Retries {
		if data, err = fetchBlob(ctx, repo, d); err == nil || ctx.Err() != nil || !passing(err) {
			return data, err
		}
	}
	return nil, err
}

func fetchBlob(ctx context.Context, repo *remote.Repository, d ocispec.Descriptor) ([]byte, error) {
	body, err := repo.Blobs().Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	return content.ReadAll(body, d)
}

// assemble makes a bundle of layers. The manifest may say which bundle it is; what it holds counts.
func assemble(m *manifest, layers [][]byte, r Reference) (b *bundle.Bundle, err error) {
	if m.Layers[0].MediaType == WholeType {
		b, err = bundle.ReadArchive(bytes.NewReader(layers[0]))
	} else {
		b, err = joinPieces(layers)
	}
	if err != nil {
		return nil, &Error{Ref: r.String(), Reason: Altered, Message: "holds no sound bundle: " + err.Error(), Err: err}
	}
	if said, ok := m.Annotations[BundleAnnotation]; ok && said != b.Digest.String() {
		return nil, &Error{Ref: r.String(), Reason: Altered, Message: fmt.Sprintf("says that it is the bundle %s, and holds %s", said, b.Digest)}
	}
	return b, nil
}

func joinPieces(layers [][]byte) (*bundle.Bundle, error) {
	var j pieces.Joiner
	for i, l := range layers {
		if err := j.Add(l); err != nil {
			return nil, fmt.Errorf("layer %d %w", i, err)
		}
	}
	files, err := j.Files()
	if err != nil {
		return nil, err
	}
	return bundle.FromContents(files)
}

// unpackedDigest is the digest of what a gzip stream holds.
func unpackedDigest(packed []byte) (digest.Digest, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	return digest.FromReader(io.LimitReader(z, 2*limit.BundleBytes))
}
