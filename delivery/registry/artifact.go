package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
)

// Media types. Those of Flux are what its source-controller and its command line look for.
const (
	ConfigType   = "application/vnd.cncf.flux.config.v1+json"
	WholeType    = "application/vnd.cncf.flux.content.v1.tar+gzip"
	PieceType    = "application/vnd.meshc.piece.v1+gzip"
	ArtifactType = "application/vnd.meshc.bundle.v1"
)

// Annotations of an artifact, beside those of OCI.
const (
	BundleAnnotation     = "dev.meshc.bundle"     // digest of the configuration
	ProvenanceAnnotation = "dev.meshc.provenance" // digest of all bytes
	CompilerAnnotation   = "dev.meshc.compiler"
	EnvoyAnnotation      = "dev.meshc.envoy-min"
)

// About is what the caller says of an artifact, beyond what the bundle does.
type About struct {
	Source      string            // address of the repository
	Revision    string            // as Flux writes them, BRANCH@sha1:COMMIT; "": that of the bundle
	Annotations map[string]string // more of them; they win
	Whole       bool              // one layer with the whole bundle, for what takes one
}

// annotations describe a bundle.
func annotations(b *bundle.Bundle, about About) map[string]string {
	source := b.Provenance.Source
	a := map[string]string{
		BundleAnnotation: b.Digest.String(), ProvenanceAnnotation: b.Provenance.Digest.String(), CompilerAnnotation: b.Provenance.Compiler, EnvoyAnnotation: b.EnvoyMin,
	}
	set := func(key, value string) {
		if value != "" {
			a[key] = value
		}
	}
	set(ocispec.AnnotationCreated, created(source.Time))
	set(ocispec.AnnotationSource, about.Source)
	if source.Revision != "" {
		set(ocispec.AnnotationRevision, "sha1:"+source.Revision)
	}
	set(ocispec.AnnotationRevision, about.Revision)
	maps.Copy(a, about.Annotations)
	return a
}

// created is the time of the commit, or what SOURCE_DATE_EPOCH says: never that of the push, so that the same bundle is the
// same artifact.
func created(commit string) string {
	if n, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(n, 0).UTC().Format(time.RFC3339)
	}
	return commit
}

// packed is an artifact ready to be pushed.
type packed struct {
	blobs    []blob // layers and configuration
	manifest blob
}

type blob struct {
	ocispec.Descriptor
	data []byte
}

func newBlob(mediaType string, data []byte) blob {
	return blob{ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, data}
}

// pack makes the manifest of layers.
func pack(config blob, layers []blob, artifactType string, subject *ocispec.Descriptor, annotations map[string]string) (packed, error) {
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: config.Descriptor, Subject: subject, Annotations: annotations}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.Descriptor)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return packed{}, err
	}
	if len(text) > limit.ManifestBytes || len(layers) > limit.ArtifactLayers {
		return packed{}, fmt.Errorf("the bundle has %d pieces, more than an artifact may have: narrow what the proxies see with Sidecar egress hosts, or split the mesh", len(layers))
	}
	return packed{blobs: append(layers, config), manifest: newBlob(ocispec.MediaTypeImageManifest, text)}, nil
}

// manifest is one that was fetched.
type manifest struct {
	ocispec.Manifest
	descriptor ocispec.Descriptor
	text       []byte
}

// manifest fetches and looks at the manifest of a bundle.
func (c *Client) manifest(ctx context.Context, repo *remote.Repository, r Reference) (*manifest, error) {
	m, err := c.anyManifest(ctx, repo, r)
	if err != nil {
		return nil, err
	}
	return m, m.isBundle(r)
}

// anyManifest fetches the manifest of an image or artifact of whatever kind.
func (c *Client) anyManifest(ctx context.Context, repo *remote.Repository, r Reference) (*manifest, error) {
	d, body, err := repo.Manifests().FetchReference(ctx, r.exact())
	if err != nil {
		return nil, explain(r, err)
	}
	defer func() { _ = body.Close() }()
	if d.Size > limit.ManifestBytes {
		return nil, &Error{Ref: r.String(), Reason: Altered, Message: fmt.Sprintf("has a manifest of %d bytes; one has at most %d", d.Size, limit.ManifestBytes)}
	}
	text, err := content.ReadAll(body, d)
	if err != nil {
		return nil, explain(r, err)
	}
	m := &manifest{descriptor: d, text: text}
	if d.MediaType != ocispec.MediaTypeImageManifest {
		return nil, otherKind(r, d.MediaType)
	}
	if err := json.Unmarshal(text, &m.Manifest); err != nil {
		return nil, &Error{Ref: r.String(), Reason: OtherKind, Message: "has a manifest that cannot be read: " + err.Error()}
	}
	return m, nil
}

func otherKind(r Reference, what string) error {
	return &Error{Ref: r.String(), Reason: OtherKind, Message: fmt.Sprintf("is no bundle but %s; push one with meshc bundle push", kindOf(what))}
}

// kindOf names a media type for people.
func kindOf(mediaType string) string {
	switch mediaType {
	case ocispec.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json":
		return "an index of several images"
	case ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json", "application/vnd.docker.distribution.manifest.v2+json":
		return "a container image"
	case "application/vnd.cncf.helm.config.v1+json":
		return "a Helm chart"
	case ConfigType:
		return "an artifact of Flux with something else in it"
	}
	return fmt.Sprintf("an artifact of the type %q", mediaType)
}

// isBundle refuses what is none, and what is larger than one may be.
func (m *manifest) isBundle(r Reference) error {
	total := int64(0)
	for i, l := range m.Layers {
		switch {
		case l.MediaType != PieceType && l.MediaType != WholeType || l.MediaType != m.Layers[0].MediaType || l.MediaType == WholeType && i > 0:
			return otherKind(r, m.Config.MediaType)
		case l.Size < 0 || l.Size > limit.BundleBytes || l.Digest.Validate() != nil || l.Digest.Algorithm() != digest.SHA256:
			return &Error{Ref: r.String(), Reason: Altered, Message: fmt.Sprintf("has a layer %d of %d bytes and the digest %q, which none has", i, l.Size, l.Digest)}
		}
		total += l.Size
	}
	switch {
	case len(m.Layers) == 0 || m.Config.MediaType != ConfigType:
		return otherKind(r, m.Config.MediaType)
	case total > limit.BundleBytes || len(m.Layers) > limit.ArtifactLayers:
		return &Error{Ref: r.String(), Reason: Altered, Message: fmt.Sprintf("has %d layers of %d MiB, more than a bundle may have", len(m.Layers), total>>20)}
	}
	return nil
}

// Bundle tells which bundle an artifact says to hold, without fetching it.
func (c *Client) Bundle(ctx context.Context, r Reference) (digest string, err error) {
	repo, err := c.repository(r)
	if err != nil {
		return "", err
	}
	m, err := c.manifest(ctx, repo, r)
	if err != nil {
		return "", err
	}
	return m.Annotations[BundleAnnotation], nil
}
