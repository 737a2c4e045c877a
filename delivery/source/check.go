package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// Refusal is a bundle that is sound and may not be served or used: its signature does not hold, it is older than another or
// of another mesh.
type Refusal struct {
	Bundle string // where it is
	Why    string
}

// Error renders "BUNDLE why".
func (r *Refusal) Error() string { return r.Bundle + " " + r.Why }

// VerifyArtifact verifies what was pulled by the signatures that refer to it, and returns these.
func VerifyArtifact(ctx context.Context, c *registry.Client, p *registry.Pulled, trust *signature.Trust) (signature.Verified, [][]byte, error) {
	list, err := c.Attached(ctx, p.Ref, signature.MediaType)
	if err != nil {
		return signature.Verified{}, nil, err
	}
	v, err := trust.Verify(subjectsOf(p.Ref, p.Bundle), list)
	if err != nil {
		return v, nil, &Refusal{p.Ref.String(), err.Error()}
	}
	return v, list, nil
}

func subjectsOf(r registry.Reference, b *bundle.Bundle) signature.Subjects {
	return signature.Subjects{SHA256: []string{strings.TrimPrefix(r.Digest, "sha256:")}, Repository: r.Host + "/" + r.Repository, TrustDomain: b.TrustDomain}
}

// SignatureFile is where the signature of a bundle lies that is a file or a folder: beside it.
func SignatureFile(path string) string { return strings.TrimRight(path, "/") + ".sigstore.json" }

// VerifyFile verifies a bundle by the signature in a file, and returns that.
func VerifyFile(path string, b *bundle.Bundle, file string, trust *signature.Trust) (signature.Verified, []byte, error) {
	text, err := regular.ReadFile(file, limit.ReferrerBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return signature.Verified{}, nil, &Refusal{path, "is not signed: there is no " + file}
	case err != nil:
		return signature.Verified{}, nil, err
	}
	v, err := VerifyText(path, b, text, trust)
	return v, text, err
}

// VerifyText verifies a bundle by a signature that is at hand.
func VerifyText(name string, b *bundle.Bundle, text []byte, trust *signature.Trust) (signature.Verified, error) {
	v, err := trust.Verify(fileSubjectsOf(b), [][]byte{text})
	if err != nil {
		return v, &Refusal{name, err.Error()}
	}
	return v, nil
}

func fileSubjectsOf(b *bundle.Bundle) signature.Subjects {
	return signature.Subjects{SHA256: []string{b.Provenance.Digest.Hex()}, Repository: signature.OfFile, TrustDomain: b.TrustDomain}
}

// FileSubjects are what a signature of a bundle that is no artifact is about: the archive, by its own bytes or as meshc would
// write it, and provenance.json, whose digest covers the bundle in whatever form it is.
func FileSubjects(path string, b *bundle.Bundle) ([]signature.Subject, error) {
	var text []byte
	if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() {
		if text, err = regular.ReadFile(path, limit.BundleBytes); err != nil {
			return nil, err
		}
	} else {
		var buf bytes.Buffer
		if err := b.Archive(&buf); err != nil {
			return nil, err
		}
		text = buf.Bytes()
	}
	return SubjectsOf(text, b), nil
}

// SubjectsOf are those of a bundle whose archive is at hand.
func SubjectsOf(archive []byte, b *bundle.Bundle) []signature.Subject {
	d := sha256.Sum256(archive)
	return []signature.Subject{
		{Name: "bundle.tar.gz", Digest: map[string]string{"sha256": hex.EncodeToString(d[:])}},
		{Name: "provenance.json", Digest: map[string]string{"sha256": b.Provenance.Digest.Hex()}},
	}
}
