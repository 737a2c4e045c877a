// Package airgap packs all that a site without a network needs to take a bundle in into one file, and reads such files.
//
// The file is a tar archive: the bundle as an archive, its signature, the keys that count where it comes from, a page that
// says what to do, and the checksums of all of them as sha256sum writes and checks them. The same content gives the same
// bytes. Reading bounds what is unfolded, wants every file and no other, compares checksums, and leaves the signature to who
// knows whom to trust: keys that come with a bundle prove nothing about it.
package airgap

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/archive"
	"github.com/meshc/meshc/internal/limit"
)

// Names of the files.
const (
	BundleFile    = "bundle.tar.gz"
	SignatureFile = "bundle.tar.gz.sigstore.json"
	TrustFile     = "trust.yaml"
	PageFile      = "README.md"
	SumsFile      = "SHA256SUMS"
)

// Content is what is packed.
type Content struct {
	Archive   []byte // of the bundle
	Signature []byte
	Trust     []byte // a trust file whose keys are in it
}

// Write packs the content of a bundle.
func Write(w io.Writer, b *bundle.Bundle, c Content) error {
	files := []bundle.File{{Name: BundleFile, Data: c.Archive}, {Name: SignatureFile, Data: c.Signature}, {Name: TrustFile, Data: c.Trust}, {Name: PageFile, Data: page(b)}}
	var sums strings.Builder
	for _, f := range files {
		fmt.Fprintf(&sums, "%s  %s\n", sum(f.Data), f.Name)
	}
	t := tar.NewWriter(w)
	for _, f := range append(files, bundle.File{Name: SumsFile, Data: []byte(sums.String())}) {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: 0o644, Size: int64(len(f.Data)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := t.Write(f.Data); err != nil {
			return err
		}
	}
	return t.Close()
}

func sum(data []byte) string {
	d := sha256.Sum256(data)
	return hex.EncodeToString(d[:])
}

// Read unpacks what Write packed, and compares the checksums.
func Read(r io.Reader) (Content, error) {
	files, err := unpack(r)
	if err != nil {
		return Content{}, err
	}
	var want strings.Builder
	for _, name := range []string{BundleFile, SignatureFile, TrustFile, PageFile} {
		data, ok := files[name]
		if !ok {
			return Content{}, fmt.Errorf("lacks %s: meshc bundle export writes it", name)
		}
		line := sum(data) + "  " + name + "\n"
		if !bytes.Contains(files[SumsFile], []byte(line)) {
			return Content{}, fmt.Errorf("%s does not have the checksum that %s says: it was cut or altered on the way", name, SumsFile)
		}
		want.WriteString(line)
	}
	if want.String() != string(files[SumsFile]) {
		return Content{}, fmt.Errorf("%s has lines about something else", SumsFile)
	}
	return Content{Archive: files[BundleFile], Signature: files[SignatureFile], Trust: files[TrustFile]}, nil
}

func unpack(r io.Reader) (map[string][]byte, error) {
	a, err := archive.NewReader(r, archive.Options{Bytes: limit.BundleBytes, Entries: limit.BundleEntries})
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for {
		e, err := a.Next()
		switch {
		case errors.Is(err, io.EOF):
			return files, nil
		case err != nil:
			return nil, err
		case e.Kind != archive.File:
			return nil, fmt.Errorf("holds %q, which is no file", e.Name)
		}
		switch e.Name {
		case BundleFile, SignatureFile, TrustFile, PageFile, SumsFile:
		default:
			return nil, fmt.Errorf("holds %q, which meshc bundle export does not write", e.Name)
		}
		if files[e.Name], err = a.Data(limit.BundleBytes); err != nil {
			return nil, err
		}
	}
}
