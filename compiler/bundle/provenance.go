package bundle

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/rollout"
)

// Provenance says how a bundle came to be. Nothing in it reaches a proxy, so that two commits which compile to the same
// configuration have bundles of one digest.
type Provenance struct {
	Digest   Digest // of provenance.json, which names the digests of the manifest and of the origins: one for all bytes
	Compiler string // version of meshc
	Source   SourceInfo
}

// SourceInfo says what was compiled.
type SourceInfo struct {
	Revision string `json:"revision,omitempty"` // commit, empty when the source is not under version control
	Time     string `json:"time,omitempty"`     // of the commit, RFC 3339 in UTC
	Dirty    bool   `json:"dirty,omitempty"`    // the working tree differed from the revision
}

// String names the commit and its time for people.
func (s SourceInfo) String() string {
	if s.Revision == "" {
		return "(not under version control)"
	}
	out := s.Revision
	if s.Time != "" {
		out += " of " + s.Time
	}
	if s.Dirty {
		out += " (with uncommitted changes)"
	}
	return out
}

// provenanceEntry is provenance.json.
type provenanceEntry struct {
	Manifest string               `json:"manifest"` // digest: whose provenance this is
	Compiler string               `json:"compiler"`
	Source   SourceInfo           `json:"source"`
	Rollout  *rollout.Plan        `json:"rollout,omitempty"` // how servers take the bundle into service
	Files    map[string]fileEntry `json:"files"`             // beside the manifest's
}

// outside lists the files that the provenance vouches for and not the manifest: they do not count for the digest of the
// bundle.
func outside() []string { return []string{originsFile} }

// encodeProvenance renders provenance.json and sets its digest.
func (b *Bundle) encodeProvenance() []byte {
	p := provenanceEntry{Manifest: b.Digest.String(), Compiler: b.Provenance.Compiler, Source: b.Provenance.Source, Rollout: b.Rollout, Files: map[string]fileEntry{}}
	for _, f := range b.files {
		if slices.Contains(outside(), f.name) {
			p.Files[f.name] = entryOf(f.data)
		}
	}
	out := append(appendJSON(nil, p), '\n')
	b.Provenance.Digest = sha256.Sum256(out)
	return out
}

// digestLine is a line of the file digest, as sha256sum writes and checks it.
func digestLine(d Digest, name string) string { return d.Hex() + "  " + name + "\n" }

// encodeDigests renders the file digest.
func (b *Bundle) encodeDigests() []byte {
	return []byte(digestLine(b.Digest, manifestFile) + digestLine(b.Provenance.Digest, provenanceFile))
}

// readDigests verifies the manifest and the provenance against the file digest.
func readDigests(files map[string][]byte) error {
	list, ok := files[digestFile]
	if !ok {
		return refuse(CodeMissing, digestFile, "fetch the bundle again", "is missing")
	}
	rest := string(list)
	for _, name := range []string{manifestFile, provenanceFile} {
		data, ok := files[name]
		if !ok {
			return refuse(CodeMissing, name, "fetch the bundle again", "is missing")
		}
		if rest, ok = strings.CutPrefix(rest, digestLine(sha256.Sum256(data), name)); !ok {
			return refuse(CodeAltered, name, "fetch the bundle again", "does not have the digest that the file digest says: it is truncated or altered")
		}
	}
	if rest != "" {
		return refuse(CodeMalformed, digestFile, "", "has something after its end")
	}
	return nil
}

// readProvenance reads provenance.json, whose bytes are verified, and verifies the files that it names.
func (b *Bundle) readProvenance(files map[string][]byte) error {
	data := files[provenanceFile]
	var p provenanceEntry
	if err := strict(provenanceFile, data, &p); err != nil {
		return err
	}
	if p.Manifest != b.Digest.String() {
		return refuse(CodeAltered, provenanceFile, "fetch the bundle again", "is that of the bundle %s, and this one is %s", p.Manifest, b.Digest)
	}
	if p.Rollout != nil {
		if problems := p.Rollout.Check(); len(problems) > 0 {
			return refuse(CodeMalformed, provenanceFile, "", "has a rollout that none is: %s", problems[0].Message)
		}
	}
	b.Rollout = p.Rollout
	b.Provenance = Provenance{Digest: sha256.Sum256(data), Compiler: p.Compiler, Source: p.Source}
	return verify(files, provenanceFile, p.Files, outside())
}

// verify holds files against the digests that another one lists.
func verify(files map[string][]byte, lister string, list map[string]fileEntry, names []string) error {
	for _, name := range names {
		want, listed := list[name]
		data, there := files[name]
		switch {
		case !listed:
			return refuse(CodeMalformed, lister, "", "does not list %s", name)
		case !there:
			return refuse(CodeMissing, name, "fetch the bundle again", "is missing")
		case len(data) != want.Size:
			return refuse(CodeAltered, name, "fetch the bundle again", "has %d bytes, %s says %d: it is truncated or altered", len(data), lister, want.Size)
		case entryOf(data) != want:
			return refuse(CodeAltered, name, "fetch the bundle again", "does not have the digest that %s says: it is altered", lister)
		}
	}
	return nil
}

func entryOf(data []byte) fileEntry {
	return fileEntry{Digest: Digest(sha256.Sum256(data)).String(), Size: len(data)}
}

// refuseFormat refuses the manifest of another format. It may lay out everything else in another way, so its version is
// looked at before all else.
func refuseFormat(manifest []byte) error {
	var head struct {
		FormatVersion string `json:"formatVersion"`
	}
	if json.Unmarshal(manifest, &head) != nil || head.FormatVersion == "" || head.FormatVersion == FormatVersion {
		return nil
	}
	help := "use the meshc that wrote it, or a newer one"
	if head.FormatVersion == "1" {
		help = "compile it again: meshc compile SOURCE -o BUNDLE"
	}
	return refuse(CodeFormat, manifestFile, help, "the bundle has format %q, this meshc reads format %q", head.FormatVersion, FormatVersion)
}

// SetSource says another source of the bundle, in its files, too. The digest stays: it is that of the configuration.
func (b *Bundle) SetSource(s SourceInfo) error {
	if b.files == nil {
		return errNoFiles()
	}
	b.Provenance.Source = s
	for _, name := range []string{provenanceFile, digestFile} {
		i := slices.IndexFunc(b.files, func(f file) bool { return f.name == name })
		if i < 0 {
			return errNoFiles()
		}
		if name == provenanceFile {
			b.files[i].data = b.encodeProvenance()
		} else {
			b.files[i].data = b.encodeDigests()
		}
	}
	return nil
}
