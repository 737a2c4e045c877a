package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
)

// retries is how often a verb asks a registry again that is too busy. A server has a rhythm of its own.
const retries = 4

// registry is how verbs speak with registries. Only a compile does without the credential helpers of docker: it starts no
// program.
func (a *app) registry(helpers bool) *registry.Client {
	return registry.New(registry.Options{Helpers: helpers, Retries: retries, UserAgent: "meshc/" + version()})
}

// readBundle reads a bundle from a path or a registry.
func (a *app) readBundle(ctx context.Context, name string) (*bundle.Bundle, error) {
	if !registry.IsReference(name) {
		return bundle.Read(name)
	}
	p, err := a.pull(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	return p.Bundle, nil
}

func (a *app) pull(ctx context.Context, name string, have registry.Blobs) (*registry.Pulled, error) {
	r, err := registry.ParseExact(name)
	if err != nil {
		return nil, err
	}
	return a.registry(true).Pull(ctx, r, have)
}

// sized writes a number of bytes for people.
func sized(n int64) string {
	if n < 10_000 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%d KB", (n+500)/1000)
}

// notePushed says what an upload cost.
func (a *app) notePushed(p registry.Pushed) {
	a.note("sent %d of %d layers, %s of %s", p.Sent, p.Layers, sized(p.Uploaded), sized(p.Bytes))
}

func newBundlePush(a *app) *cobra.Command {
	var output string
	var about registry.About
	c := &cobra.Command{
		Use:   "push BUNDLE oci://HOST/REPOSITORY:TAG",
		Short: "Put a bundle into a registry",
		Long: `push uploads a bundle as an OCI artifact and prints where it is, by digest. The same bundle is the same artifact, whoever
pushes it and when. Its layers are pieces of the bundle, and only those travel that the registry does not have.

With --whole there is one layer instead, the archive of the bundle with the media type of Flux: what an OCIRepository of Flux
or an image volume of Kubernetes takes. meshc reads either.

Credentials come from the config.json of docker ($DOCKER_CONFIG, ~/.docker), credential helpers included, or else from podman's
auth.json. Plain HTTP is spoken with this machine only (localhost, 127.0.0.1, [::1]).

-o json prints url, repository, tag and digest as flux push artifact does, the digest of the bundle, and what was sent.`,
		Example: `  meshc bundle push mesh.bundle oci://registry.example.com/mesh:v1.4
  meshc bundle push mesh.bundle oci://registry.example.com/mesh:main --whole --source https://git.example.com/mesh --revision main@sha1:9f0edd1`,
		Args: exactly(2, "BUNDLE and oci://HOST/REPOSITORY:TAG"),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := registry.Parse(args[1])
			if err != nil {
				return err
			}
			b, err := a.readBundle(c.Context(), args[0])
			if err != nil {
				return err
			}
			p, err := a.registry(true).Push(c.Context(), to, b, about)
			if err != nil {
				return err
			}
			a.notePushed(p)
			if output == "json" {
				return a.pushedJSON(to, p, b)
			}
			_, err = fmt.Fprintln(a.stdout, p.Ref)
			return err
		},
	}
	f := c.Flags()
	formatFlag(c, &output, "text", "json")
	f.BoolVar(&about.Whole, "whole", false, "one layer with the whole bundle, as Flux and image volumes take it")
	f.StringVar(&about.Source, "source", "", "address of the repository that the bundle is of, for the annotation")
	f.StringVar(&about.Revision, "revision", "", "revision as Flux writes it, BRANCH@sha1:COMMIT (default: sha1:COMMIT of the bundle)")
	f.StringToStringVarP(&about.Annotations, "annotation", "a", nil, "annotation of the artifact, as KEY=VALUE; may be repeated")
	return c
}

func (a *app) pushedJSON(to registry.Reference, p registry.Pushed, b *bundle.Bundle) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		URL        string `json:"url"`
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
		Digest     string `json:"digest"`
		Bundle     string `json:"bundle"`
		Layers     int    `json:"layers"`
		Sent       int    `json:"sent"`
		Bytes      int64  `json:"bytes"`
		Uploaded   int64  `json:"uploaded"`
	}{to.String(), to.Host + "/" + to.Repository, to.Tag, p.Ref.Digest, b.Digest.String(), p.Layers, p.Sent, p.Bytes, p.Uploaded})
}

func newBundlePull(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "pull oci://HOST/REPOSITORY:TAG -o BUNDLE",
		Short: "Fetch a bundle from a registry",
		Long: `pull fetches a bundle, verifies every byte, and puts it in place in one step. Of the bundle that is there already it takes
what the new one has in common, so a small change is a small download.`,
		Example: `  meshc bundle pull oci://registry.example.com/mesh:v1.4 -o mesh.bundle
  meshc bundle pull oci://registry.example.com/mesh@sha256:… -o mesh.tar.gz`,
		Args: exactly(1, "oci://HOST/REPOSITORY:TAG"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := bundlePath(output); err != nil {
				return err
			}
			if registry.IsReference(output) {
				return errors.New("pull writes a directory or a .tar.gz file; meshc bundle copy goes from one registry to another")
			}
			var have registry.Blobs
			if old, err := bundle.Read(output); err == nil {
				have = registry.PiecesOf(old)
			}
			p, err := a.pull(c.Context(), args[0], have)
			if err != nil {
				return err
			}
			a.note("fetched %d of %d layers, %s of %s, from %s", p.Fetched, p.Layers, sized(p.Loaded), sized(p.Bytes), p.Ref)
			if err := a.end.write(c.Context(), func() error { return write(p.Bundle, output) }); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s  %s\n", p.Bundle.Digest, output)
			return err
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "the bundle to write")
	return c
}

func newBundleCopy(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "copy oci://FROM oci://TO",
		Short: "Copy a bundle from one registry or repository to another, with its signatures",
		Long: `copy takes the artifact as it is, byte by byte, and what refers to it: the digest stays the same, and signatures hold at the
destination.`,
		Example: `  meshc bundle copy oci://registry.example.com/mesh:v1.4 oci://registry.site-a.example.com/mesh:v1.4`,
		Args:    exactly(2, "the reference to copy from and the one to copy to"),
		RunE: func(c *cobra.Command, args []string) error {
			from, err := registry.ParseExact(args[0])
			if err != nil {
				return err
			}
			to, err := registry.Parse(args[1])
			if err != nil {
				return err
			}
			done, err := a.registry(true).Copy(c.Context(), from, to)
			if err != nil {
				return err
			}
			a.note("sent %s, with %s", sized(done.Uploaded), numbered(done.Referrers, "signature"))
			_, err = fmt.Fprintln(a.stdout, done.Ref)
			return err
		},
	}
}

func newBundleTag(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "tag oci://HOST/REPOSITORY:TAG TAG...",
		Short:   "Give a bundle in a registry more tags",
		Example: `  meshc bundle tag oci://registry.example.com/mesh@sha256:… production`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("name a bundle in a registry and the tags to give it; there are %d arguments", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			r, err := registry.ParseExact(args[0])
			if err != nil {
				return err
			}
			digest, err := a.registry(true).Tag(c.Context(), r, args[1:]...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s  %s\n", r.At(digest), strings.Join(args[1:], " "))
			return err
		},
	}
}

// exactly wants so many arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("name %s; there are %d arguments", what, len(args))
		}
		return nil
	}
}

// numbered is a number with its noun.
func numbered(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
