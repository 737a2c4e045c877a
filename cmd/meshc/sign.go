package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/delivery/source"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// passwordVariable is where cosign looks for the password of a key, too.
const passwordVariable = "COSIGN_PASSWORD"

func readKey(file string) (*signature.Key, error) {
	text, err := regular.ReadFile(file, limit.TextBytes)
	if err != nil {
		return nil, err
	}
	k, err := signature.ReadKey(text, func() ([]byte, error) {
		word, ok := os.LookupEnv(passwordVariable)
		if !ok {
			return nil, errors.New("is encrypted: its password is expected in the environment, as " + passwordVariable)
		}
		return []byte(word), nil
	})
	if err != nil {
		return nil, fmt.Errorf("--key %s %w", file, err)
	}
	return k, nil
}

func newBundleSign(a *app) *cobra.Command {
	var key, origin, output string
	c := &cobra.Command{
		Use:   "sign oci://HOST/REPOSITORY:TAG|BUNDLE --key FILE",
		Short: "Sign a bundle, without a network beyond its registry",
		Long: `sign reads a bundle, verifies its digests, and signs it. In a registry the signature is a Sigstore bundle that refers to
the artifact, as cosign 3 writes it: cosign verify --key and Flux take it. A second one, by the same key, is the provenance: commit,
compiler, digests (SLSA v1, in-toto). A tag is resolved first; what is signed is the digest.

The signature of a folder or archive is a file beside it, BUNDLE.sigstore.json, or -o: the provenance as a statement about the
bytes of the archive and about provenance.json, which holds for the bundle in either form.

The key is an Ed25519 or ECDSA P-256 key in PEM: PKCS#8, or the encrypted form of cosign generate-key-pair, whose password is in
COSIGN_PASSWORD. Nothing is sent to a transparency log.`,
		Example: `  openssl genpkey -algorithm ed25519 -out release.pem && openssl pkey -in release.pem -pubout -out release.pub
  meshc bundle sign oci://registry.example.com/mesh:v1.4 --key release.pem
  meshc bundle sign mesh.tar.gz --key release.pem`,
		Args: exactly(1, "a bundle"),
		RunE: func(c *cobra.Command, args []string) error {
			if key == "" {
				return errors.New("no key: say --key FILE")
			}
			k, err := readKey(key)
			if err != nil {
				return err
			}
			if !registry.IsReference(args[0]) {
				return a.signFile(c, args[0], k, origin, output)
			}
			if output != "" {
				return errors.New("-o is for bundles that are files; the signature of an artifact goes to its registry")
			}
			return a.signArtifact(c, args[0], k, origin)
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", "", "file with the private key")
	f.StringVar(&origin, "source", "", "address of the repository that the bundle is of, for the provenance")
	f.StringVarP(&output, "output", "o", "", "file for the signature of a bundle that is a file (default BUNDLE.sigstore.json)")
	return c
}

func (a *app) signArtifact(c *cobra.Command, name string, k *signature.Key, origin string) error {
	p, err := a.pull(c.Context(), name, nil)
	if err != nil {
		return err
	}
	hex := strings.TrimPrefix(p.Ref.Digest, "sha256:")
	from, err := signature.Provenance(p.Bundle, origin, signature.Subject{Digest: map[string]string{"sha256": hex}})
	if err != nil {
		return err
	}
	for _, s := range []signature.Statement{signature.Signed(hex), from} {
		text, err := k.Sign(s)
		if err != nil {
			return err
		}
		if _, err := a.registry(true).Attach(c.Context(), p.Ref, signature.MediaType, text, signature.Annotations(s, p.Bundle)); err != nil {
			return err
		}
	}
	a.note("signed %s", p.Ref)
	_, err = fmt.Fprintf(a.stdout, "%s  %s\n", p.Bundle.Digest, p.Ref)
	return err
}

func (a *app) signFile(c *cobra.Command, name string, k *signature.Key, origin, output string) error {
	b, err := bundle.Read(name)
	if err != nil {
		return err
	}
	subjects, err := source.FileSubjects(name, b)
	if err != nil {
		return err
	}
	s, err := signature.Provenance(b, origin, subjects...)
	if err != nil {
		return err
	}
	text, err := k.Sign(s)
	if err != nil {
		return err
	}
	if output == "" {
		output = source.SignatureFile(name)
	}
	if err := a.end.write(c.Context(), func() error { return bundle.ReplaceFile(output, append(text, '\n')) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s  %s\n", b.Digest, output)
	return err
}

func newBundleVerify(a *app) *cobra.Command {
	var key, trustFile, signed string
	c := &cobra.Command{
		Use:   "verify oci://HOST/REPOSITORY:TAG|BUNDLE --key FILE|--trust FILE",
		Short: "Verify a bundle and its signature",
		Long: `verify reads every byte of a bundle, compares digests, and wants a signature by the public key of --key, or by one of the
keys of a trust file that may sign such a bundle. It needs no network beyond the registry that the bundle is in.

A trust file has keys, each with a name, its PEM (file, beside the trust file, or key), and what it may sign: repositories
(HOST/REPOSITORY, with * for a part; the word file for bundles outside of a registry), trustDomains of the mesh, notBefore
and notAfter. What is left out is not restricted.

Exit code: 0 when it is signed, 1 when it is not or by nobody who may, 2 when it cannot be read.`,
		Example: `  meshc bundle verify oci://registry.example.com/mesh:v1.4 --key release.pub
  meshc bundle verify mesh.tar.gz --trust trust.yaml`,
		Args: exactly(1, "a bundle"),
		RunE: func(c *cobra.Command, args []string) error {
			trust, err := readTrust(key, trustFile)
			if err != nil {
				return err
			}
			b, v, at, err := a.verify(c, args[0], signed, trust)
			var refused *source.Refusal
			if errors.As(err, &refused) {
				fmt.Fprintf(a.stderr, "meshc: %v\n", err)
				return errFindings
			}
			if err != nil {
				return err
			}
			from := b.Provenance
			_, err = fmt.Fprintf(a.stdout, "%s  %s\nsigned by   %s\nsource      %s\ncompiler    %s\n", b.Digest, at, v.Key, from.Source, from.Compiler)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", "", "file with the public key")
	f.StringVar(&trustFile, "trust", "", "file that says which keys may sign what")
	f.StringVar(&signed, "signature", "", "file with the signature of a bundle that is a file (default BUNDLE.sigstore.json)")
	return c
}

func (a *app) verify(c *cobra.Command, name, signed string, trust *signature.Trust) (*bundle.Bundle, signature.Verified, string, error) {
	if !registry.IsReference(name) {
		b, err := bundle.Read(name)
		if err != nil {
			return nil, signature.Verified{}, "", err
		}
		if signed == "" {
			signed = source.SignatureFile(name)
		}
		v, _, err := source.VerifyFile(name, b, signed, trust)
		return b, v, name, err
	}
	if signed != "" {
		return nil, signature.Verified{}, "", errors.New("--signature is for bundles that are files; the signatures of an artifact are in its registry")
	}
	p, err := a.pull(c.Context(), name, nil)
	if err != nil {
		return nil, signature.Verified{}, "", err
	}
	v, _, err := source.VerifyArtifact(c.Context(), a.registry(true), p, trust)
	return p.Bundle, v, p.Ref.String(), err
}

// readTrust reads the key or the trust file, one of which has to be named.
func readTrust(key, file string) (*signature.Trust, error) {
	if (key == "") == (file == "") {
		return nil, errors.New("whom to trust: say one of --key FILE and --trust FILE")
	}
	if file != "" {
		return signature.ReadTrust(file)
	}
	text, err := regular.ReadFile(key, limit.TextBytes)
	if err != nil {
		return nil, err
	}
	p, err := signature.ReadPublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("--key %s %w", key, err)
	}
	return signature.Trusting("the key in "+key, p), nil
}
