package signature

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// Trust says which keys may sign what.
type Trust struct {
	keys []trusted
	now  func() time.Time
}

// trusted is one key of a trust file.
type trusted struct {
	Name         string   `yaml:"name"`
	File         string   `yaml:"file,omitempty"`         // with the public key, beside the trust file
	Key          string   `yaml:"key,omitempty"`          // or itself
	Repositories []string `yaml:"repositories,omitempty"` // HOST/REPOSITORY, * for a part, or OfFile; none: any
	TrustDomains []string `yaml:"trustDomains,omitempty"` // of the mesh; none: any
	NotBefore    string   `yaml:"notBefore,omitempty"`
	NotAfter     string   `yaml:"notAfter,omitempty"`

	public   *PublicKey
	from, to time.Time
}

// Trusting is a trust in one key, for everything and always.
func Trusting(name string, key *PublicKey) *Trust {
	return &Trust{keys: []trusted{{Name: name, public: key}}, now: time.Now}
}

// trustFile is the text of a trust.
type trustFile struct {
	Keys []trusted `yaml:"keys"`
}

// typeNames are what the reader of YAML says of types in Go, which means nothing to whoever writes the file.
var typeNames = regexp.MustCompile(` (in type|into) signature\.[a-zA-Z]+`)

// ReadTrust reads a trust file.
func ReadTrust(file string) (*Trust, error) {
	text, err := regular.ReadFile(file, limit.TextBytes)
	if err != nil {
		return nil, err
	}
	return ParseTrust(file, text)
}

// ParseTrust reads the text of a trust file. Files that it names lie beside it.
func ParseTrust(file string, text []byte) (*Trust, error) {
	t, err := parseTrust(text, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), filepath.FromSlash(name))
		}
		return regular.ReadFile(name, limit.TextBytes)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// InlineTrust is a trust file whose keys are in it, so that it can go elsewhere.
func InlineTrust(file string) ([]byte, error) {
	t, err := ReadTrust(file)
	if err != nil {
		return nil, err
	}
	out := trustFile{}
	for _, k := range t.keys {
		k.File, k.Key = "", string(k.public.pem())
		out.Keys = append(out.Keys, k)
	}
	return yaml.Marshal(out)
}

func parseTrust(text []byte, read func(string) ([]byte, error)) (*Trust, error) {
	var list trustFile
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&list); err != nil {
		return nil, errors.New(strings.Join(strings.Fields(typeNames.ReplaceAllString(err.Error(), "")), " "))
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one document")
	}
	if len(list.Keys) == 0 {
		return nil, errors.New("names no key, so that nothing would be trusted: keys: [{name: release, file: release.pub}]")
	}
	for i := range list.Keys {
		if err := list.Keys[i].complete(read); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
	}
	return &Trust{keys: list.Keys, now: time.Now}, nil
}

func (k *trusted) complete(read func(string) ([]byte, error)) (err error) {
	text := []byte(k.Key)
	switch {
	case k.Name == "":
		return errors.New("has no name")
	case (k.File == "") == (k.Key == ""):
		return fmt.Errorf("%s has to have one of file and key", k.Name)
	case k.File != "":
		if text, err = read(k.File); err != nil {
			return err
		}
	}
	if k.public, err = ReadPublicKey(text); err != nil {
		return fmt.Errorf("%s %w", k.Name, err)
	}
	for _, pattern := range k.Repositories {
		if _, err := path.Match(pattern, ""); err != nil || strings.Contains(pattern, "://") {
			return fmt.Errorf("%s: repositories: %q is no HOST/REPOSITORY, with * for a part between slashes", k.Name, pattern)
		}
	}
	for _, at := range []struct {
		text string
		into *time.Time
	}{{k.NotBefore, &k.from}, {k.NotAfter, &k.to}} {
		if at.text == "" {
			continue
		}
		if *at.into, err = time.Parse(time.RFC3339, at.text); err != nil {
			return fmt.Errorf("%s: %q is no time as 2027-01-31T00:00:00Z", k.Name, at.text)
		}
	}
	return nil
}

// OfFile stands for the repository of a bundle that is not in a registry.
const OfFile = "file"

// Subjects are the digests of which a signature has to be of one, and what the bundle is.
type Subjects struct {
	SHA256      []string // hex: of the manifest of an artifact, or of the archive and provenance.json of a bundle
	Repository  string   // HOST/REPOSITORY, or OfFile
	TrustDomain string   // of the mesh
}

// Verified is a signature that holds.
type Verified struct {
	Key        string // name of the key
	Statements []Statement
}

// Verify looks for a signature of a key that may sign the thing now. It says of each key why there is none.
func (t *Trust) Verify(of Subjects, signatures [][]byte) (Verified, error) {
	return t.VerifyAt(of, signatures, t.now())
}

// VerifyAt is Verify for what was taken at another time.
func (t *Trust) VerifyAt(of Subjects, signatures [][]byte, at time.Time) (Verified, error) {
	if len(signatures) == 0 {
		return Verified{}, errors.New("is not signed")
	}
	var whys []string
	for i := range t.keys {
		k := &t.keys[i]
		statements, err := k.signedBy(of, signatures)
		if err == nil {
			err = k.may(of, at)
		}
		if err == nil {
			return Verified{k.Name, statements}, nil
		}
		whys = append(whys, k.Name+" "+err.Error())
	}
	slices.Sort(whys)
	return Verified{}, fmt.Errorf("has no signature by a key that may sign it: %s", strings.Join(whys, "; "))
}

// signedBy returns what the key states about the thing.
func (k *trusted) signedBy(of Subjects, signatures [][]byte) (list []Statement, err error) {
	err = errors.New("has not signed it")
	for _, text := range signatures {
		s, bad := k.public.Open(text)
		switch {
		case bad != nil:
		case s.PredicateType != SignedPredicate && s.PredicateType != ProvenancePredicate:
			err = fmt.Errorf("has signed another statement about it, %q", s.PredicateType)
		case !slices.ContainsFunc(of.SHA256, s.Covers):
			err = errors.New("has signed something of another digest")
		default:
			list = append(list, s)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, err
}

// may tells whether the key may sign the thing now.
func (k *trusted) may(of Subjects, now time.Time) error {
	fits := func(list []string, s string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(p string) bool { ok, _ := path.Match(p, s); return ok })
	}
	switch {
	case !k.from.IsZero() && now.Before(k.from):
		return fmt.Errorf("is trusted from %s on", k.NotBefore)
	case !k.to.IsZero() && now.After(k.to):
		return fmt.Errorf("was trusted until %s", k.NotAfter)
	case !fits(k.Repositories, of.Repository):
		return fmt.Errorf("may not sign for the repository %s", of.Repository)
	case !fits(k.TrustDomains, of.TrustDomain):
		return fmt.Errorf("may not sign for a mesh with the trust domain %s", of.TrustDomain)
	}
	return nil
}
