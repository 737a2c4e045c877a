// Package clone keeps a copy on disk of what one branch, tag or commit of a remote Git repository names.
//
// A look asks the remote for its references and compares: while the name stands for the commit that is at hand nothing is
// fetched; else that commit alone is, without its history, into a bare repository beside the one in use, which goes when the new
// one is whole: so nothing piles up, and a fetch that ends in the middle costs nothing. What a fetch may take of disk and of time
// has bounds. A commit counts only if a key of the keyring has signed it, where there is one.
package clone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// Options say what is copied, and to where.
type Options struct {
	URL    string // https, ssh, or plain http on loopback
	Ref    string // a branch, a tag or a whole commit; "": the branch that the remote has checked out
	Folder string // where the copy lies

	TokenFile  string // password for https; read for each look, so that it can be renewed
	SSHKey     string // file with a private key; "": the agent that SSH_AUTH_SOCK names
	KnownHosts string // file with the keys of hosts; "": those of the user and the system

	// Keyring is a file with armored OpenPGP public keys; a commit that none of them has signed is refused. "": any commit counts.
	Keyring string
}

// Clone is a repository that is copied.
type Clone struct {
	o      Options
	commit plumbing.Hash // that is at hand
	repo   string        // where; "": none is
	most   int64         // bytes of disk
	opened bool          // what an earlier process left was looked at
}

// current names the commit that is at hand, so that it is not garbage to any tool of Git.
const current = plumbing.ReferenceName("refs/heads/meshc")

// New checks the options. It asks nobody.
func New(o Options) (*Clone, error) {
	if err := private(o.URL); err != nil {
		return nil, err
	}
	return &Clone{o: o, most: limit.GitFetchBytes}, nil
}

// Fixed tells whether the name is that of one commit, for ever.
func (c *Clone) Fixed() bool { return plumbing.IsHash(c.o.Ref) }

// Commit is what a look found.
type Commit struct {
	Hash       string // in hexadecimal
	Repository string // path of the bare repository that has it
}

// Look returns the commit that the name stands for now, when it is at hand. On an error what was at hand before still is. An
// error is an *Away where the remote could not be asked, and a *Refused where what it has may not be used.
func (c *Clone) Look(ctx context.Context) (Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, limit.GitFetchTime)
	defer cancel()
	if err := c.open(); err != nil {
		return Commit{}, err
	}
	want, ref, err := c.resolve(ctx)
	if err != nil {
		return Commit{}, err
	}
	if want != c.commit {
		if err := c.take(ctx, want, ref); err != nil {
			return Commit{}, err
		}
	}
	return Commit{c.commit.String(), c.repo}, nil
}

// Held returns the commit that an earlier process left, without asking anybody; it is empty where there is none, or none that
// may be used now.
func (c *Clone) Held() Commit {
	if c.open() != nil || c.repo == "" {
		return Commit{}
	}
	return Commit{c.commit.String(), c.repo}
}

// names of the two places that a repository can lie in: the one is made while the other is in use.
func places() []string { return []string{"a.git", "b.git"} }

// open finds the copy that an earlier process has left. What else lies there is of a fetch that was killed.
func (c *Clone) open() error {
	if c.opened {
		return nil
	}
	if err := os.MkdirAll(c.o.Folder, 0o700); err != nil {
		return err
	}
	for _, name := range places() {
		dir := filepath.Join(c.o.Folder, name)
		r, err := git.PlainOpen(dir)
		if err != nil {
			continue
		}
		if commit, err := c.left(r); err == nil {
			c.repo, c.commit = dir, commit
			break
		}
	}
	c.opened = true
	return c.tidy()
}

// left is the commit of a repository that an earlier process left, if that is of the same remote and may still be used.
func (c *Clone) left(r *git.Repository) (plumbing.Hash, error) {
	remote, err := r.Remote(git.DefaultRemoteName)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if !slices.Equal(remote.Config().URLs, []string{shown(c.o.URL)}) {
		return plumbing.ZeroHash, errors.New("it is of another remote")
	}
	ref, err := r.Reference(current, true)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return ref.Hash(), c.signed(r, ref.Hash())
}

// begin makes an empty repository in the place that is not in use.
func (c *Clone) begin() (*git.Repository, string, error) {
	dir := filepath.Join(c.o.Folder, places()[0])
	if dir == c.repo {
		dir = filepath.Join(c.o.Folder, places()[1])
	}
	r, err := git.PlainInit(dir, true)
	if err != nil {
		return nil, dir, err
	}
	_, err = r.CreateRemote(&config.RemoteConfig{Name: git.DefaultRemoteName, URLs: []string{shown(c.o.URL)}})
	return r, dir, err
}

// tidy removes the place that is not in use.
func (c *Clone) tidy() error {
	for _, name := range places() {
		if dir := filepath.Join(c.o.Folder, name); dir != c.repo {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve asks the remote what the name stands for, and returns the reference to ask for.
func (c *Clone) resolve(ctx context.Context) (plumbing.Hash, string, error) {
	if c.Fixed() {
		return plumbing.NewHash(c.o.Ref), c.o.Ref, nil
	}
	auth, err := c.auth()
	if err != nil {
		return plumbing.ZeroHash, "", err
	}
	refs, err := c.remote().ListContext(ctx, &git.ListOptions{Auth: auth, PeelingOption: git.AppendPeeled})
	if err != nil {
		return plumbing.ZeroHash, "", c.away(ctx, err)
	}
	byName := map[plumbing.ReferenceName]*plumbing.Reference{}
	for _, r := range refs {
		byName[r.Name()] = r
	}
	wanted := []plumbing.ReferenceName{plumbing.ReferenceName(c.o.Ref), plumbing.NewTagReferenceName(c.o.Ref), plumbing.NewBranchReferenceName(c.o.Ref)}
	if c.o.Ref == "" {
		wanted = []plumbing.ReferenceName{plumbing.HEAD}
	}
	for _, name := range wanted {
		r := byName[name]
		for hops := 0; r != nil && r.Type() == plumbing.SymbolicReference && hops < 5; hops++ {
			r = byName[r.Target()]
		}
		if r == nil || r.Type() != plumbing.HashReference {
			continue
		}
		if peeled := byName[r.Name()+"^{}"]; peeled != nil {
			return peeled.Hash(), r.Name().String(), nil
		}
		return r.Hash(), r.Name().String(), nil
	}
	if c.o.Ref == "" {
		return plumbing.ZeroHash, "", &Refused{shown(c.o.URL), "has no branch checked out; name one with #ref="}
	}
	return plumbing.ZeroHash, "", &Refused{shown(c.o.URL), fmt.Sprintf("has no branch and no tag %q; a commit is named by all of its digits", c.o.Ref)}
}

// take fetches a commit and has it used.
func (c *Clone) take(ctx context.Context, want plumbing.Hash, ref string) error {
	r, dir, err := c.begin()
	if err == nil {
		err = c.fetch(ctx, r, ref)
	}
	var hash plumbing.Hash
	if err == nil {
		hash, err = c.came(r, want, ref)
	}
	if err != nil {
		return errors.Join(err, c.tidy())
	}
	c.repo, c.commit = dir, hash
	return c.tidy()
}

// came judges what was fetched, and names it as the commit at hand.
func (c *Clone) came(r *git.Repository, want plumbing.Hash, ref string) (plumbing.Hash, error) {
	got, err := r.Reference(incoming, true)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	hash, err := commitOf(r, got.Hash())
	switch {
	case err != nil:
		return hash, &Refused{shown(c.o.URL), fmt.Sprintf("has no commit at %s: %v", ref, err)}
	case hash != want && c.Fixed():
		return hash, &Refused{shown(c.o.URL), fmt.Sprintf("gave %s for %s", hash, want)}
	}
	if err := c.signed(r, hash); err != nil {
		return hash, err
	}
	return hash, r.Storer.SetReference(plumbing.NewHashReference(current, hash))
}

// commitOf follows an annotated tag to its commit.
func commitOf(r *git.Repository, h plumbing.Hash) (plumbing.Hash, error) {
	if tag, err := r.TagObject(h); err == nil {
		commit, err := tag.Commit()
		if err != nil {
			return h, err
		}
		return commit.Hash, nil
	}
	_, err := r.CommitObject(h)
	return h, err
}

// incoming is what was fetched last, whether or not it is used.
const incoming = plumbing.ReferenceName("refs/meshc/incoming")

// fetch brings what the reference names, without its history, and stops when that takes more than it may.
func (c *Clone) fetch(ctx context.Context, r *git.Repository, ref string) error {
	auth, err := c.auth()
	if err != nil {
		return err
	}
	remote := git.NewRemote(r.Storer, &config.RemoteConfig{Name: git.DefaultRemoteName, URLs: []string{c.o.URL}})
	inBounds, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go c.bounded(inBounds, stop)
	err = remote.FetchContext(inBounds, &git.FetchOptions{Auth: auth, Depth: 1, Tags: git.NoTags, Force: true,
		RefSpecs: []config.RefSpec{config.RefSpec("+" + ref + ":" + incoming.String())}})
	var over *Refused
	switch {
	case errors.As(context.Cause(inBounds), &over):
		return over
	case errors.Is(err, git.NoErrAlreadyUpToDate) || err == nil:
		return c.fits()
	case errors.Is(err, git.NoMatchingRefSpecError{}):
		return &Refused{shown(c.o.URL), "has no " + ref + " any more"}
	}
	return c.away(ctx, err)
}

// bounded ends a fetch that takes more of the disk than it may.
func (c *Clone) bounded(ctx context.Context, stop context.CancelCauseFunc) {
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if err := c.fits(); err != nil {
				stop(err)
				return
			}
		}
	}
}

// fits tells whether the folder is within its bound.
func (c *Clone) fits() error {
	if size(c.o.Folder) > c.most {
		return &Refused{shown(c.o.URL), fmt.Sprintf("takes more than %d bytes of disk", c.most)}
	}
	return nil
}

// size is how many bytes the files below a folder have.
func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what is gone by now takes no room
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}

// signed tells why a commit may not be used: no key of the keyring has signed it.
func (c *Clone) signed(r *git.Repository, h plumbing.Hash) error {
	if c.o.Keyring == "" {
		return nil
	}
	keys, err := regular.ReadFile(c.o.Keyring, limit.CommandBytes)
	if err != nil {
		return err
	}
	commit, err := r.CommitObject(h)
	if err != nil {
		return err
	}
	if commit.PGPSignature == "" {
		return &Refused{shown(c.o.URL), fmt.Sprintf("has commit %s without a signature", h)}
	}
	if strings.Contains(commit.PGPSignature, "BEGIN SSH SIGNATURE") {
		return &Refused{shown(c.o.URL), fmt.Sprintf("has commit %s signed by an SSH key; only OpenPGP signatures are verified", h)}
	}
	if _, err := commit.Verify(string(keys)); err != nil {
		return &Refused{shown(c.o.URL), fmt.Sprintf("has commit %s, whose signature is by no key of %s: %v", h, c.o.Keyring, err)}
	}
	return nil
}

func (c *Clone) remote() *git.Remote {
	return git.NewRemote(nil, &config.RemoteConfig{Name: git.DefaultRemoteName, URLs: []string{c.o.URL}})
}

// away is why a remote could not be asked; the end of the caller is not the remote's fault.
func (c *Clone) away(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return context.Canceled
	}
	why := err.Error()
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), errors.Is(err, transport.ErrInvalidAuthMethod):
		why += "; give --git-token FILE, or --git-ssh-key FILE for ssh"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		why += ", or these credentials may not see it"
	case errors.Is(err, context.DeadlineExceeded):
		why = fmt.Sprintf("it took longer than %v", limit.GitFetchTime)
	}
	return &Away{shown(c.o.URL), why}
}
