// Package registry keeps bundles in OCI registries, and fetches them.
//
// An artifact is an image manifest with the configuration type of Flux. Its layers are the pieces of the bundle, as package
// pieces cuts them, so that only those travel that the other side lacks; or, for what takes one layer, the archive of the
// bundle with the media type of Flux. The annotations say which bundle it is, of which commit, by which compiler. All of it
// follows from the bundle and from what the caller says: the same bundle gives the same manifest and digest.
//
// Fetching resolves the tag once and goes by digests from there: a tag that moves meanwhile gives the one artifact or the
// other. Nothing is trusted that a registry says: sizes are bounded before anything is read, bytes are compared with their
// digest before they are looked at, a peer that stops in the middle is left, and plain HTTP is spoken with this machine only,
// whoever redirects.
package registry

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"time"

	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Options say how to speak with registries.
type Options struct {
	// Helpers lets credentials come from the programs that the configuration of docker names. A compile starts none.
	Helpers bool
	// Retries is how often a request is made again that a registry is too busy for, or that does not arrive.
	Retries   int
	UserAgent string
	Stall     time.Duration // how long a peer may keep silent; default 30 s
}

// Client speaks with registries. It may be used at the same time.
type Client struct {
	options Options
	http    *http.Client
	cache   auth.Cache
}

// New makes a client.
func New(o Options) *Client {
	o.Stall = cmp.Or(o.Stall, 30*time.Second)
	return &Client{options: o, http: &http.Client{Transport: newTransport(o)}, cache: auth.NewCache()}
}

// repository is the repository that a reference is in.
func (c *Client) repository(r Reference) (*remote.Repository, error) {
	repo, err := remote.NewRepository(r.Host + "/" + r.Repository)
	if err != nil {
		return nil, err
	}
	keys, err := storedCredentials(c.options.Helpers)
	if err != nil {
		return nil, err
	}
	client := &auth.Client{Client: c.http, Cache: c.cache, Credential: keys}
	client.SetUserAgent(cmp.Or(c.options.UserAgent, "meshc"))
	if loopback(r.Host) {
		repo.PlainHTTP = true
		client.BlockedRealmPrefixes = []netip.Prefix{} // its tokens may come from this machine, too
	}
	repo.Client = client
	repo.SkipReferrersGC = true // deleting is a right of its own, which few have
	repo.ReferrerListMaxPages = 10
	return repo, nil
}

// Resolve returns the digest of the manifest that a tag names now.
func (c *Client) Resolve(ctx context.Context, r Reference) (string, error) {
	if r.Digest != "" {
		return r.Digest, nil
	}
	repo, err := c.repository(r)
	if err != nil {
		return "", err
	}
	d, err := repo.Manifests().Resolve(ctx, r.exact())
	if err != nil {
		return "", explain(r, err)
	}
	return d.Digest.String(), nil
}

// Tag gives an artifact more tags.
func (c *Client) Tag(ctx context.Context, r Reference, tags ...string) (digest string, err error) {
	for _, t := range tags {
		if p, err := ParseExact(Scheme + r.Host + "/" + r.Repository + ":" + t); err != nil || p.Tag != t {
			return "", &Error{Ref: r.String(), Reason: Misused, Message: "cannot be tagged " + t + ": a tag is up to 128 letters, digits, dots, dashes and underscores"}
		}
	}
	repo, err := c.repository(r)
	if err != nil {
		return "", err
	}
	m, err := c.manifest(ctx, repo, r)
	if err != nil {
		return "", err
	}
	for _, t := range tags {
		if err := repo.Manifests().Tag(ctx, m.descriptor, t); err != nil {
			return "", explain(r, err)
		}
	}
	return m.descriptor.Digest.String(), nil
}
