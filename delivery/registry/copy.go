package registry

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/meshc/meshc/internal/limit"
)

// Copied tells what a copy did.
type Copied struct {
	Ref       Reference // at the destination, with the digest of the manifest
	Referrers int       // signatures and the like that went with it
	Uploaded  int64
}

// Copy copies a bundle with what refers to it, byte by byte, so that signatures hold at the destination.
func (c *Client) Copy(ctx context.Context, from, to Reference) (Copied, error) {
	source, err := c.repository(from)
	if err != nil {
		return Copied{}, err
	}
	m, err := c.manifest(ctx, source, from)
	if err != nil {
		return Copied{}, err
	}
	if to.Digest != "" && to.Digest != m.descriptor.Digest.String() {
		return Copied{}, &Error{Ref: to.String(), Reason: Misused, Message: "cannot be the copy: the artifact has the digest " + m.descriptor.Digest.String()}
	}
	pushed, err := c.copyOne(ctx, source, from, to, m)
	if err != nil {
		return Copied{}, err
	}
	out := Copied{Ref: pushed.Ref, Uploaded: pushed.Uploaded}
	list, err := c.referrers(ctx, source, m.descriptor)
	if err != nil {
		return out, explain(from, err)
	}
	for _, d := range list {
		r, err := c.anyManifest(ctx, source, from.At(d.Digest.String()))
		if err != nil {
			return out, err
		}
		if len(r.Layers) > limit.Referrers {
			return out, &Error{Ref: from.At(d.Digest.String()).String(), Reason: OtherKind, Message: "refers to the bundle and is too large to be a signature"}
		}
		pushed, err := c.copyOne(ctx, source, from, to.At(d.Digest.String()), r)
		if err != nil {
			return out, err
		}
		out.Referrers++
		out.Uploaded += pushed.Uploaded
	}
	return out, nil
}

// copyOne copies a manifest and its blobs.
func (c *Client) copyOne(ctx context.Context, source *remote.Repository, from, to Reference, m *manifest) (Pushed, error) {
	p := packed{manifest: blob{m.descriptor, m.text}}
	repo, err := c.repository(to)
	if err != nil {
		return Pushed{}, err
	}
	for _, d := range append(m.Layers, m.Config) {
		b := blob{Descriptor: d}
		has, err := repo.Blobs().Exists(ctx, d)
		if err != nil {
			return Pushed{}, explain(to, err)
		}
		if d.Size > limit.BundleBytes {
			return Pushed{}, &Error{Ref: from.String(), Reason: Altered, Message: fmt.Sprintf("has a layer of %d bytes, more than a bundle may have", d.Size)}
		}
		if !has {
			if b.data, err = c.blob(ctx, source, d); err != nil {
				return Pushed{}, explain(from, err)
			}
		}
		p.blobs = append(p.blobs, b)
	}
	return c.pushPacked(ctx, to, p)
}

// errEnough ends a listing.
var errEnough = errors.New("enough")

// referrers lists what refers to a manifest, by the API or by the tag that stands in for it.
func (c *Client) referrers(ctx context.Context, repo *remote.Repository, subject ocispec.Descriptor) (list []ocispec.Descriptor, err error) {
	err = repo.Referrers(ctx, subject, "", func(page []ocispec.Descriptor) error {
		for _, d := range page {
			if list = append(list, d); len(list) >= limit.Referrers {
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return list, err
}

// Attach adds an artifact of one layer that refers to another, as signatures do, and returns its digest.
func (c *Client) Attach(ctx context.Context, subject Reference, mediaType string, data []byte, annotations map[string]string) (string, error) {
	repo, err := c.repository(subject)
	if err != nil {
		return "", err
	}
	m, err := c.anyManifest(ctx, repo, subject)
	if err != nil {
		return "", err
	}
	empty := newBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	d := m.descriptor
	p, err := pack(empty, []blob{newBlob(mediaType, data)}, mediaType, &ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, annotations)
	if err != nil {
		return "", err
	}
	pushed, err := c.pushPacked(ctx, Reference{Host: subject.Host, Repository: subject.Repository}, p)
	return pushed.Ref.Digest, err
}

// Attached fetches the layers of what refers to an artifact, of one media type. What cannot be one is left out.
func (c *Client) Attached(ctx context.Context, subject Reference, mediaType string) (out [][]byte, err error) {
	repo, err := c.repository(subject)
	if err != nil {
		return nil, err
	}
	d, err := repo.Manifests().Resolve(ctx, subject.exact())
	if err != nil {
		return nil, explain(subject, err)
	}
	list, err := c.referrers(ctx, repo, d)
	if err != nil {
		return nil, explain(subject, err)
	}
	for _, r := range list {
		if r.ArtifactType != "" && r.ArtifactType != mediaType && r.ArtifactType != ocispec.MediaTypeEmptyJSON {
			continue // some registries say none, or that of the configuration
		}
		data, err := c.attachment(ctx, repo, subject.At(r.Digest.String()), mediaType)
		if err != nil {
			return nil, err
		}
		if data != nil {
			out = append(out, data)
		}
	}
	return out, nil
}

func (c *Client) attachment(ctx context.Context, repo *remote.Repository, at Reference, mediaType string) ([]byte, error) {
	m, err := c.anyManifest(ctx, repo, at)
	var refused *Error
	if errors.As(err, &refused) && refused.Reason == OtherKind {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(m.Layers) != 1 || m.Layers[0].MediaType != mediaType || m.Layers[0].Size > limit.ReferrerBytes {
		return nil, nil
	}
	data, err := c.blob(ctx, repo, m.Layers[0])
	return data, explain(at, err)
}
