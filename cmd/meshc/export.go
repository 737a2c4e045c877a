package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/airgap"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/delivery/source"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

func newBundleExport(a *app) *cobra.Command {
	var key, trustFile, output string
	c := &cobra.Command{
		Use:   "export BUNDLE --trust FILE -o FILE.tar",
		Short: "Pack a bundle with its signature for a site without a network",
		Long: `export writes one tar file: the bundle as an archive, its signature, the trust file with its keys, checksums that sha256sum -c
reads, and a page that says how to take it in. Nothing is packed that would not verify by that trust file.

The signature is the one beside BUNDLE, BUNDLE.sigstore.json, or is made with --key. A bundle of a registry has its signature
there and needs --key, since that of the archive is another.`,
		Example: `  meshc bundle export mesh.tar.gz --trust trust.yaml -o site-a.tar
  meshc bundle export oci://registry.example.com/mesh:v1.4 --trust trust.yaml --key release.pem -o site-a.tar`,
		Args: exactly(1, "a bundle"),
		RunE: func(c *cobra.Command, args []string) error {
			if trustFile == "" || output == "" {
				return errors.New("say whom the other side trusts, --trust FILE, and where to write, -o FILE.tar")
			}
			b, err := a.readBundle(c.Context(), args[0])
			if err != nil {
				return err
			}
			content, err := packContent(args[0], b, key, trustFile)
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := airgap.Write(&text, b, content); err != nil {
				return err
			}
			if err := a.end.write(c.Context(), func() error { return bundle.ReplaceFile(output, text.Bytes()) }); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s  %s\n", b.Digest, output)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", "", "file with the private key, for a bundle without a signature beside it")
	f.StringVar(&trustFile, "trust", "", "file that says which keys may sign what")
	f.StringVarP(&output, "output", "o", "", "the file to write")
	return c
}

// packContent gathers the files, and verifies them as the other side will.
func packContent(name string, b *bundle.Bundle, key, trustFile string) (c airgap.Content, err error) {
	if c.Trust, err = signature.InlineTrust(trustFile); err != nil {
		return c, err
	}
	trust, err := signature.ParseTrust(trustFile, c.Trust)
	if err != nil {
		return c, err
	}
	if !registry.IsReference(name) && isArchive(name) {
		c.Archive, err = regular.ReadFile(name, limit.BundleBytes)
	} else {
		var text bytes.Buffer
		err = b.Archive(&text)
		c.Archive = text.Bytes()
	}
	if err != nil {
		return c, err
	}
	switch {
	case key != "":
		k, err := readKey(key)
		if err != nil {
			return c, err
		}
		s, err := signature.Provenance(b, "", source.SubjectsOf(c.Archive, b)...)
		if err != nil {
			return c, err
		}
		if c.Signature, err = k.Sign(s); err != nil {
			return c, err
		}
		c.Signature = append(c.Signature, '\n') // as sign writes it beside a file
	case registry.IsReference(name):
		return c, errors.New("the signature of an artifact is of its manifest: say --key FILE to sign the archive")
	default:
		if c.Signature, err = regular.ReadFile(source.SignatureFile(name), limit.ReferrerBytes); err != nil {
			return c, fmt.Errorf("%w: sign the bundle first, or say --key FILE", err)
		}
	}
	_, err = source.VerifyText(name, b, c.Signature, trust)
	return c, err
}

func isArchive(path string) bool {
	return strings.HasSuffix(path, ".tar.gz") || strings.HasSuffix(path, ".tgz")
}

func newBundleImport(a *app) *cobra.Command {
	var key, trustFile, output string
	c := &cobra.Command{
		Use:   "import FILE.tar --trust FILE -o BUNDLE",
		Short: "Verify what export packed, and put the bundle in place",
		Long: `import reads a file of meshc bundle export, compares checksums and digests, wants a signature by a key that the site trusts,
and puts the bundle in place in one step, its signature beside it. It needs no network. The trust file inside of FILE does not
count: whoever packed another bundle could pack another trust.

Exit code: 0 when it is in place, 1 when it is not signed by who may, 2 when it cannot be read or written.`,
		Example: `  meshc bundle import site-a.tar --trust /etc/meshc/trust.yaml -o /srv/mesh/bundle.tar.gz`,
		Args:    exactly(1, "a file that meshc bundle export wrote"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := bundlePath(output); err != nil {
				return err
			}
			if registry.IsReference(output) {
				return errors.New("import writes a directory or a .tar.gz file; meshc bundle push goes on from there")
			}
			trust, err := readTrust(key, trustFile)
			if err != nil {
				return err
			}
			text, err := regular.ReadFile(args[0], limit.BundleBytes)
			if err != nil {
				return err
			}
			content, err := airgap.Read(bytes.NewReader(text))
			if err != nil {
				return fmt.Errorf("%s %w", args[0], err)
			}
			return a.takeIn(c, args[0], content, trust, output)
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", "", "file with the public key")
	f.StringVar(&trustFile, "trust", "", "file that says which keys may sign what")
	f.StringVarP(&output, "output", "o", "", "the bundle to write")
	return c
}

// takeIn verifies a bundle and puts it in place. The signature goes first: a server that watches the bundle finds it there.
func (a *app) takeIn(c *cobra.Command, name string, content airgap.Content, trust *signature.Trust, output string) error {
	b, err := bundle.ReadArchive(bytes.NewReader(content.Archive))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	v, err := source.VerifyText(name, b, content.Signature, trust)
	var refused *source.Refusal
	if errors.As(err, &refused) {
		fmt.Fprintf(a.stderr, "meshc: %v\n", err)
		return errFindings
	}
	if err != nil {
		return err
	}
	if err := a.end.write(c.Context(), func() error {
		if err := bundle.ReplaceFile(source.SignatureFile(output), content.Signature); err != nil {
			return err
		}
		if isArchive(output) {
			return bundle.ReplaceFile(output, content.Archive) // as it is: the signature is about these bytes
		}
		return write(b, output)
	}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s  %s\nsigned by   %s\nsource      %s\ncompiler    %s\n", b.Digest, output, v.Key, b.Provenance.Source, b.Provenance.Compiler)
	return err
}
