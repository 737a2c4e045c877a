package registry

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry"
)

// Scheme is how references to a registry begin, where a path could stand as well.
const Scheme = "oci://"

// IsReference tells a reference from a path.
func IsReference(s string) bool { return strings.HasPrefix(s, Scheme) }

// Reference names an artifact: oci://HOST/REPOSITORY:TAG, or @DIGEST.
type Reference struct {
	Host       string // with its port, if it has one
	Repository string
	Tag        string // "" where Digest is said
	Digest     string // sha256:hex
}

// Parse reads a reference. One with a tag and a digest means the digest.
func Parse(s string) (Reference, error) {
	rest, ok := strings.CutPrefix(s, Scheme)
	bad := func(why string) (Reference, error) {
		return Reference{}, fmt.Errorf("%s %s: write %sHOST/REPOSITORY:TAG, or @sha256:… for the digest", s, why, Scheme)
	}
	if !ok {
		return bad("does not begin with " + Scheme)
	}
	if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
		return Reference{}, fmt.Errorf("a reference holds no user and no password: those are in the config.json that docker login writes")
	}
	r, err := registry.ParseReference(rest)
	if err != nil {
		return bad("is no reference")
	}
	out := Reference{Host: r.Registry, Repository: r.Repository}
	if _, err := digest.Parse(r.Reference); err == nil {
		if !strings.HasPrefix(r.Reference, "sha256:") {
			return bad("has a digest that is not SHA-256")
		}
		out.Digest = r.Reference
		return out, nil
	}
	out.Tag = r.Reference
	return out, nil
}

// ParseExact is Parse for what has to have a tag or a digest.
func ParseExact(s string) (Reference, error) {
	r, err := Parse(s)
	if err == nil && r.Tag+r.Digest == "" {
		err = fmt.Errorf("%s has no tag: write %sHOST/REPOSITORY:TAG, or @sha256:… for the digest", s, Scheme)
	}
	return r, err
}

// String writes it as Parse reads it.
func (r Reference) String() string { return Scheme + r.name() }

// name is the reference without the scheme, as tools for containers write it.
func (r Reference) name() string {
	s := r.Host + "/" + r.Repository
	switch {
	case r.Digest != "":
		s += "@" + r.Digest
	case r.Tag != "":
		s += ":" + r.Tag
	}
	return s
}

// At is the same repository at a digest.
func (r Reference) At(digest string) Reference {
	return Reference{Host: r.Host, Repository: r.Repository, Digest: digest}
}

// exact is the tag or the digest.
func (r Reference) exact() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

// loopback tells whether a host, with or without a port, is this machine.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
