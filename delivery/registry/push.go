package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/pieces"
)

// transfers is how many blobs travel at a time.
const transfers = 4

// Pushed tells what a push did.
type Pushed struct {
	Ref      Reference // with the digest of the manifest
	Layers   int
	Sent     int   // of layers
	Bytes    int64 // of the artifact, manifest included
	Uploaded int64 // of them
}

// Push puts a bundle into a registry, under the tag of the reference if it has one.
func (c *Client) Push(ctx context.Context, r Reference, b *bundle.Bundle, about About) (Pushed, error) {
	p, err := packBundle(b, about)
	if err != nil {
		return Pushed{}, err
	}
	at := r.At(p.manifest.Digest.String())
	if r.Digest != "" && r.Digest != at.Digest {
		return Pushed{}, &Error{Ref: r.String(), Reason: Misused, Message: "cannot be pushed: the artifact has the digest " + at.Digest}
	}
	return c.pushPacked(ctx, r, p)
}

func (c *Client) pushPacked(ctx context.Context, r Reference, p packed) (Pushed, error) {
	out := Pushed{Ref: r.At(p.manifest.Digest.String()), Layers: len(p.blobs) - 1, Bytes: p.manifest.Size}
	repo, err := c.repository(r)
	if err != nil {
		return out, err
	}
	var sent, uploaded atomic.Int64
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	seen := map[digest.Digest]bool{}
	for i, b := range p.blobs {
		if seen[b.Digest] {
			continue
		}
		seen[b.Digest] = true
		out.Bytes += b.Size
		group.Go(func() error {
			did, err := upload(inner, repo, b)
			if did {
				uploaded.Add(b.Size)
				if i < out.Layers {
					sent.Add(1)
				}
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return out, explain(r, err)
	}
	if err := repo.Manifests().PushReference(ctx, p.manifest.Descriptor, bytes.NewReader(p.manifest.data), tagOr(r, out.Ref)); err != nil {
		return out, explain(r, err)
	}
	out.Sent, out.Uploaded = int(sent.Load()), uploaded.Load()+p.manifest.Size
	return out, nil
}

// tagOr is the tag, or the digest where there is none.
func tagOr(r, at Reference) string {
	if r.Tag != "" {
		return r.Tag
	}
	return at.Digest
}

// upload sends a blob unless the registry has it.
func upload(ctx context.Context, repo *remote.Repository, b blob) (bool, error) {
	has, err := repo.Blobs().Exists(ctx, b.Descriptor)
	if err != nil || has {
		return false, err
	}
	return true, repo.Blobs().Push(ctx, b.Descriptor, bytes.NewReader(b.data))
}

// packBundle makes an artifact of a bundle.
func packBundle(b *bundle.Bundle, about About) (packed, error) {
	if about.Whole {
		return packWhole(b, about)
	}
	files, err := b.Contents()
	if err != nil {
		return packed{}, err
	}
	cut, err := pieces.Cut(files)
	if err != nil {
		return packed{}, err
	}
	layers := make([]blob, len(cut))
	for i, p := range cut {
		layers[i] = blob{ocispec.Descriptor{MediaType: PieceType, Digest: digest.NewDigestFromBytes(digest.SHA256, p.Digest[:]), Size: int64(len(p.Data))}, p.Data}
	}
	return pack(newBlob(ConfigType, []byte("{}")), layers, ArtifactType, nil, annotations(b, about))
}

// packWhole makes an artifact with one layer. Its configuration is that of an image, so that what unpacks images takes it.
func packWhole(b *bundle.Bundle, about About) (packed, error) {
	var text bytes.Buffer
	if err := b.Archive(&text); err != nil {
		return packed{}, err
	}
	unpacked, err := unpackedDigest(text.Bytes())
	if err != nil {
		return packed{}, err
	}
	config, err := json.Marshal(ocispec.Image{Platform: ocispec.Platform{Architecture: "unknown", OS: "unknown"}, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{unpacked}}})
	if err != nil {
		return packed{}, err
	}
	return pack(newBlob(ConfigType, config), []blob{newBlob(WholeType, text.Bytes())}, ArtifactType, nil, annotations(b, about))
}
