package signature

import (
	"encoding/json"
	"slices"

	"github.com/meshc/meshc/compiler/bundle"
)

const inTotoStatement = "https://in-toto.io/Statement/v1"

// Types of what a statement says.
const (
	SignedPredicate     = "https://sigstore.dev/cosign/sign/v1"
	ProvenancePredicate = "https://slsa.dev/provenance/v1"

	buildType = "https://meshc.dev/compile/v1"
)

// Statement is an in-toto statement.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Subject is a thing that a statement is about.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// Covers tells whether the statement is about what has the SHA-256, in hex.
func (s Statement) Covers(sha256 string) bool {
	return slices.ContainsFunc(s.Subject, func(t Subject) bool { return sha256 != "" && t.Digest["sha256"] == sha256 })
}

// Signed is the statement of cosign that something is signed.
func Signed(sha256 string) Statement {
	return Statement{inTotoStatement, []Subject{{Digest: map[string]string{"sha256": sha256}}}, SignedPredicate, json.RawMessage("{}")}
}

// provenance is a predicate of SLSA.
type provenance struct {
	BuildDefinition struct {
		BuildType          string       `json:"buildType"`
		ExternalParameters struct{}     `json:"externalParameters"`
		Dependencies       []dependency `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version"`
		} `json:"builder"`
		Byproducts []dependency `json:"byproducts"`
	} `json:"runDetails"`
}

type dependency struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

// Provenance is the statement about how a bundle came to be: commit, compiler, and its two digests. source is the address of
// the repository, "" where nobody says.
func Provenance(b *bundle.Bundle, source string, subjects ...Subject) (Statement, error) {
	var p provenance
	p.BuildDefinition.BuildType = buildType
	if from := b.Provenance.Source; from.Revision != "" {
		d := dependency{URI: source, Name: "source", Digest: map[string]string{"gitCommit": from.Revision}, Annotations: map[string]any{"dirty": from.Dirty}}
		if from.Time != "" {
			d.Annotations["time"] = from.Time
		}
		p.BuildDefinition.Dependencies = []dependency{d}
	}
	p.RunDetails.Builder.ID = "https://meshc.dev/meshc"
	p.RunDetails.Builder.Version = map[string]string{"meshc": b.Provenance.Compiler}
	p.RunDetails.Byproducts = []dependency{
		{Name: "manifest.json", Digest: map[string]string{"sha256": b.Digest.Hex()}},
		{Name: "provenance.json", Digest: map[string]string{"sha256": b.Provenance.Digest.Hex()}},
	}
	text, err := json.Marshal(p)
	return Statement{inTotoStatement, subjects, ProvenancePredicate, text}, err
}

// Annotations describe a statement in a registry, as cosign does. The time is that of the commit, where it is known.
func Annotations(s Statement, b *bundle.Bundle) map[string]string {
	a := map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": s.PredicateType}
	if t := b.Provenance.Source.Time; t != "" {
		a["org.opencontainers.image.created"] = t
	}
	return a
}
