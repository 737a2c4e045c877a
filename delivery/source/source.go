// Package source brings bundles from a registry to a server, and decides which of them may be served.
//
// A reference is looked at again and again: while its tag names the same digest nothing is fetched; when it names another, the
// pieces that are not at hand are. What was fetched is served if it is sound, if a key of the trust file has signed it, if it
// is of the mesh of the bundle in service, and not older than that. Else the bundle in service stays, and what is wrong is
// told. A registry that fails is asked less and less often, or when it says.
//
// The last good bundle is kept on disk with its signatures, and is what a restarted server begins with, whether or not the
// registry is there.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/delivery/store"
)

// Options say where bundles come from.
type Options struct {
	Ref    registry.Reference
	Client *registry.Client
	Trust  *signature.Trust // nil: whatever the registry gives
	Store  *store.Store     // keeps what was good; nil: nothing is kept
	Guard  *Guard
	Poll   time.Duration // default 30 s
	Log    *slog.Logger
}

// longestWait bounds how long a registry that fails is left alone.
const longestWait = 5 * time.Minute

// Source is a reference that is followed.
type Source struct {
	o      Options
	have   registry.Blobs // of the bundle in service
	digest string         // of the artifact that was taken last
	last   *taken
	wait   time.Duration
}

// taken is what was taken last, until it is kept.
type taken struct {
	record store.Record
	pulled *registry.Pulled
}

// New makes a source.
func New(o Options) *Source {
	if o.Poll == 0 {
		o.Poll = 30 * time.Second
	}
	return &Source{o: o, wait: o.Poll}
}

// Name is what is followed.
func (s *Source) Name() string { return s.o.Ref.String() }

// First returns the bundle to begin with: that on disk, or else what the reference names.
func (s *Source) First(ctx context.Context) (*bundle.Bundle, error) {
	b, err := s.kept()
	switch {
	case err != nil:
		s.o.Log.Error("the bundle on disk cannot be served", "folder", s.o.Store.Dir(), "error", err.Error())
	case b != nil:
		s.o.Log.Info("begins with the bundle on disk", "folder", s.o.Store.Dir(), "bundle", b.Digest.String(), "artifact", s.digest)
		s.wait = 0
		return b, nil
	}
	b, err = s.Next(ctx)
	if err == nil && b == nil {
		err = errors.New("no bundle was found") // cannot be: nothing was taken before
	}
	return b, err
}

// kept reads the bundle on disk. Its signatures have to hold by the trust file of now, at the time when it was taken.
func (s *Source) kept() (*bundle.Bundle, error) {
	if s.o.Store == nil {
		return nil, nil
	}
	r, p, err := s.o.Store.Current()
	if r == nil || err != nil {
		return nil, err
	}
	if r.Ref.Host != s.o.Ref.Host || r.Ref.Repository != s.o.Ref.Repository {
		return nil, fmt.Errorf("it is of %s, and %s is to be served", r.Ref, s.o.Ref)
	}
	if s.o.Ref.Digest != "" && s.o.Ref.Digest != p.Ref.Digest {
		return nil, nil
	}
	if s.o.Trust != nil {
		if _, err := s.o.Trust.VerifyAt(subjectsOf(p.Ref, p.Bundle), r.Signatures, r.Verified); err != nil {
			return nil, &Refusal{p.Ref.String(), err.Error()}
		}
	}
	if err := s.o.Guard.Admit(p.Ref.String(), p.Bundle, true); err != nil {
		return nil, err
	}
	s.digest = p.Ref.Digest
	s.have = s.o.Store.Blob
	return p.Bundle.ForServing(), nil
}

// Wait is how long to wait before Next.
func (s *Source) Wait() time.Duration {
	w := s.wait
	return w + time.Duration(float64(w)*0.1*rand.Float64()) // replicas do not come all at once
}

// Next looks at the reference and returns the bundle to take into service; nil: the one before is as it should be.
func (s *Source) Next(ctx context.Context) (*bundle.Bundle, error) {
	b, err := s.next(ctx)
	var answer *registry.Error
	switch {
	case err == nil:
		s.wait = s.o.Poll
	case errors.As(err, &answer) && answer.After > 0:
		s.wait = max(s.o.Poll, min(answer.After, longestWait))
	default:
		s.wait = min(max(2*s.wait, s.o.Poll), max(longestWait, s.o.Poll))
	}
	return b, err
}

func (s *Source) next(ctx context.Context) (*bundle.Bundle, error) {
	digest, err := s.o.Client.Resolve(ctx, s.o.Ref)
	if err != nil {
		return nil, err
	}
	if digest == s.digest {
		return nil, s.retain()
	}
	p, err := s.o.Client.Pull(ctx, s.o.Ref.At(digest), s.have)
	if err != nil {
		return nil, err
	}
	var signatures [][]byte
	if s.o.Trust != nil {
		v, list, err := VerifyArtifact(ctx, s.o.Client, p, s.o.Trust)
		if err != nil {
			return nil, err
		}
		signatures = list
		s.o.Log.Info("signature verified", "artifact", p.Ref.String(), "key", v.Key)
	}
	if err := s.o.Guard.Admit(p.Ref.String(), p.Bundle, s.o.Ref.Digest != ""); err != nil {
		return nil, err
	}
	s.o.Log.Info("fetched", "artifact", p.Ref.String(), "bundle", p.Bundle.Digest.String(), "bytes", p.Loaded, "of", p.Bytes)
	s.digest = digest
	s.last = &taken{store.Record{Ref: p.Ref, Signatures: signatures, Verified: time.Now().UTC()}, p}
	blobs := p.Blobs
	s.have = func(d string) ([]byte, bool) { data, ok := blobs[d]; return data, ok }
	if err := s.retain(); err != nil {
		s.o.Log.Error("the bundle is served and not on disk: a restart begins with the one before", "folder", s.o.Store.Dir(), "error", err.Error())
	}
	return p.Bundle.ForServing(), nil
}

// retain keeps what was taken last, again as long as that fails: a disk may have room later.
func (s *Source) retain() error {
	if s.o.Store == nil || s.last == nil {
		return nil
	}
	if err := s.o.Store.Put(s.last.record, s.last.pulled); err != nil {
		return fmt.Errorf("the bundle that was fetched cannot be kept in %s: %w", s.o.Store.Dir(), err)
	}
	s.last = nil
	s.have = s.o.Store.Blob
	return nil
}
