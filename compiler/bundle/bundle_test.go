package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/watchdog"
)

func resource(t testing.TB, url, name string, m proto.Message, line int) *Resource {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return &Resource{Type: url, Name: name, Bytes: b, Origins: []Origin{{File: "mesh.yaml", Line: line, Kind: "Service", Namespace: "default", Name: name}}}
}

func sample(t testing.TB, line int) Input {
	shared := &Set{Resources: []*Resource{
		resource(t, VirtualHostType, "80/b", &routev3.VirtualHost{Name: "b", Domains: []string{"b"}}, line),
		resource(t, VirtualHostType, "80/a", &routev3.VirtualHost{Name: "a", Domains: []string{"a"}}, line),
		resource(t, RouteConfigurationType, "80", &routev3.RouteConfiguration{Name: "80", Vhds: &routev3.Vhds{ConfigSource: &corev3.ConfigSource{}}, MaxDirectResponseBodySizeBytes: nil}, line),
		resource(t, ClusterType, "outbound|80||a", &clusterv3.Cluster{Name: "outbound|80||a"}, line),
	}}
	own := &Set{Resources: []*Resource{resource(t, ClusterType, "inbound|80||", &clusterv3.Cluster{Name: "inbound|80||"}, line)}}
	return Input{
		Compiler: "test", EnvoyMin: "1.36", Source: SourceInfo{Revision: "abc", Dirty: true},
		Selectors: []Selector{{ID: "s2", Namespace: "default", Labels: map[string]string{"app": "a", "version": "v1"}}, {ID: "s1", Labels: map[string]string{"app": "a"}},
			{ID: "s3", Address: "10.0.0.9"}, {ID: "s4", Locality: "eu/1"}, {ID: "s5", Network: "n2"}},
		Classes: []Class{
			{ID: "b", Namespace: "default", Selectors: []string{"s1"}, Sets: []*Set{shared}},
			{ID: "a", Namespace: "default", Selectors: []string{"s2", "s1"}, Workloads: []string{"default/a"}, Sets: []*Set{own, shared}},
			{ID: "far", Namespace: "default", Selectors: []string{"s1", "s3", "s4", "s5"}, Sets: []*Set{shared}},
			{ID: "gw", Gateway: true, Namespace: "default", Sets: []*Set{shared}},
		},
		Workloads: []Workload{{Namespace: "default", Name: "a", Class: "a"},
			{Kind: "Deployment", Namespace: "default", Name: "far", Locality: "eu/1", Network: "n2", Class: "far"},
			{Kind: "Pod", Namespace: "default", Name: "gone", Addresses: []string{"10.0.0.9"}, Locality: "eu/1/x", Network: "n2", Cluster: "one", Class: "far"},
			{Kind: "Pod", Namespace: "default", Name: "wide", Addresses: []string{"10.0.0.8"}, Locality: "eu/1/x", Network: "n2", Class: "far"},
			{Kind: "Pod", Namespace: "default", Name: "wide", Addresses: []string{"10.0.0.7"}, Locality: "eu/2/x", Network: "n2", Class: "b"}},
	}
}

func seal(t testing.TB, in Input) *Bundle {
	t.Helper()
	b, err := Seal(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	b := seal(t, sample(t, 3))
	dir := t.TempDir()
	path, tgz := filepath.Join(dir, "b"), filepath.Join(dir, "b.tar.gz")
	for range 2 { // the second time replaces
		if err := b.WriteDir(path); err != nil {
			t.Fatal(err)
		}
		if err := b.WriteTarGz(tgz); err != nil {
			t.Fatal(err)
		}
	}
	if es, _ := os.ReadDir(dir); len(es) != 2 {
		t.Errorf("temporary files left: %v", es)
	}
	for _, p := range []string{path, tgz} {
		r, err := Read(p)
		if err != nil {
			t.Fatal(err)
		}
		if r.Digest != b.Digest || len(r.Classes) != 4 || len(r.Sets) != 2 || r.Provenance != b.Provenance || !r.Provenance.Source.Dirty || r.EnvoyMin != "1.36" {
			t.Errorf("%s: read something else: %+v", p, r)
		}
		if o := r.Resources[0].Origins; len(o) != 1 || o[0].Line != 3 || o[0].Name != "inbound|80||" {
			t.Errorf("origins %v", o)
		}
		var one, two bytes.Buffer
		if b.Archive(&one) != nil || r.Archive(&two) != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Error("what was read does not write the same bytes")
		}
	}
}

func TestSealIsCanonical(t *testing.T) {
	a := seal(t, sample(t, 3))
	in := sample(t, 3)
	in.Classes[0], in.Classes[2] = in.Classes[2], in.Classes[0]
	in.Selectors[0], in.Selectors[1] = in.Selectors[1], in.Selectors[0]
	// The same resources, not shared by pointer.
	in.Classes[1].Sets = []*Set{{Resources: sample(t, 3).Classes[0].Sets[0].Resources}, in.Classes[1].Sets[0]}
	if b := seal(t, in); b.Digest != a.Digest {
		t.Error("order and sharing change the digest")
	}
}

// TestProvenance: lines, the commit and the compiler are told apart from what proxies may receive.
func TestProvenance(t *testing.T) {
	a := seal(t, sample(t, 3))
	for name, edit := range map[string]func(*Input){
		"lines":    func(in *Input) { *in = sample(t, 4) },
		"commit":   func(in *Input) { in.Source.Revision = "def" },
		"clean":    func(in *Input) { in.Source.Dirty = false },
		"compiler": func(in *Input) { in.Compiler = "other" },
	} {
		in := sample(t, 3)
		edit(&in)
		if b := seal(t, in); b.Digest != a.Digest || b.Provenance.Digest == a.Provenance.Digest {
			t.Errorf("%s: digest %s and provenance %s, before %s and %s", name, b.Digest, b.Provenance.Digest, a.Digest, a.Provenance.Digest)
		}
	}
	in := sample(t, 3)
	in.EnvoyMin = "1.37"
	if seal(t, in).Digest == a.Digest {
		t.Error("what Envoy has to be is not in the digest")
	}
}

// TestProvenanceOfAnother: the provenance of one bundle is refused beside the manifest of another, with digests that fit.
func TestProvenanceOfAnother(t *testing.T) {
	in := sample(t, 3)
	in.EnvoyMin = "1.37"
	a, b := seal(t, sample(t, 3)), seal(t, in)
	files := map[string][]byte{}
	for _, f := range a.files {
		files[f.name] = f.data
	}
	for _, f := range b.files {
		if f.name == provenanceFile || f.name == originsFile {
			files[f.name] = f.data
		}
	}
	mixed := &Bundle{Digest: a.Digest, Provenance: b.Provenance}
	files[digestFile] = mixed.encodeDigests()
	if _, err := parse(files); err == nil || !strings.Contains(err.Error(), provenanceFile) {
		t.Errorf("read: %v", err)
	}
}

func TestSealRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		code string
		edit func(*Input)
	}{
		"key": {CodePrivateKey, func(in *Input) {
			in.Classes[0].Sets[0].Resources[0].Bytes = []byte("-----BEGIN EC PRIVATE KEY-----\nMHc\n")
		}},
		"two of a name": {CodeConflict, func(in *Input) {
			in.Classes[1].Sets = append(in.Classes[1].Sets, &Set{Resources: []*Resource{{Type: ClusterType, Name: "outbound|80||a", Bytes: []byte("x")}}})
		}},
		"two of a signature": {CodeConflict, func(in *Input) { in.Classes[0].Selectors = []string{"s1", "s2"} }},
		"unknown selector":   {CodeMalformed, func(in *Input) { in.Classes[0].Selectors = []string{"s9"} }},
		"empty selector":     {CodeMalformed, func(in *Input) { in.Selectors[0].Labels = nil }},
	} {
		in := sample(t, 1)
		c.edit(&in)
		_, err := Seal(in)
		var e *Error
		if !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClassOf(t *testing.T) {
	b := seal(t, sample(t, 1))
	node := func(kind, labels, extra string) Node {
		n, err := NodeFromJSON([]byte(fmt.Sprintf(`{"id":"%s~10.0.0.1~p.default~default.svc.cluster.local","metadata":{"NAMESPACE":"default","LABELS":{%s}%s},"unknown":1}`, kind, labels, extra)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	far := node("sidecar", `"app":"a"`, `,"INSTANCE_IPS":"10.0.0.1,10.0.0.9","NETWORK":"n2"`)
	far.Locality = "eu/1/x"
	for want, n := range map[string]Node{
		"a": node("sidecar", `"app":"a","version":"v1"`, ""), "b": node("sidecar", `"app":"a","version":"v2"`, ""),
		"gw": node("router", `"x":"y"`, ""), "far": far,
	} {
		if c, err := b.ClassOf(n); err != nil || c.ID != want {
			t.Errorf("want %s: %v %v", want, c, err)
		}
	}
	_, err := b.ClassOf(node("sidecar", `"x":"y"`, ""))
	if err == nil || !strings.Contains(err.Error(), `nearest class is "b", which also needs labels app=a`) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{`{`, `{"id":"x"}`, `{"id":"ztunnel~1~a.b~c"}`, `{"id":"sidecar~1~a.b~c","metadata":{"NAMESPACE":"other"}}`, `{"id":"sidecar~1~a~c"}`} {
		if _, err := NodeFromJSON([]byte(bad)); err == nil {
			t.Errorf("%s is taken for a node", bad)
		}
	}
}

// TestPlace: a proxy that does not say its locality or network has those of its workload in the input, which is known by its name, its
// address or what runs it; what it says itself counts.
func TestPlace(t *testing.T) {
	b := seal(t, sample(t, 1))
	for _, c := range []struct {
		name, pod, metadata string
		class               string // "": there is none
	}{
		{"by its address", "renamed", `"INSTANCE_IPS":"10.0.0.9"`, "far"},
		{"of another cluster", "renamed", `"INSTANCE_IPS":"10.0.0.9","CLUSTER_ID":"two"`, ""},
		{"by its name", "far", `"INSTANCE_IPS":"10.0.0.9","CLUSTER_ID":"two"`, "far"},
		{"by what runs it", "far-5c8b-aaaaa", `"INSTANCE_IPS":"10.0.0.9","CLUSTER_ID":"two"`, "far"},
		{"with another network", "gone-7d9f-x2x4z", `"INSTANCE_IPS":"10.0.0.9","NETWORK":"n3"`, ""},
		{"with another network by its label", "gone-7d9f-x2x4z", `"INSTANCE_IPS":"10.0.0.9","LABELS":{"app":"a","topology.istio.io/network":"n3"}`, ""},
		{"of one of several places", "wide-7d9f-x2x4z", `"INSTANCE_IPS":"10.0.0.8,10.0.0.9"`, "far"},
		{"of one of several places that is not known", "wide-7d9f-x2x4z", `"INSTANCE_IPS":"10.0.0.6"`, ""},
		{"that nobody knows", "other-7d9f-x2x4z", `"INSTANCE_IPS":"10.0.0.6"`, "b"},
	} {
		if !strings.Contains(c.metadata, "LABELS") {
			c.metadata += `,"LABELS":{"app":"a"}`
		}
		n, err := NodeFromJSON([]byte(fmt.Sprintf(`{"id":"sidecar~10.0.0.1~%s.default~default.svc.cluster.local","metadata":{%s}}`, c.pod, c.metadata)))
		if err != nil {
			t.Fatal(err)
		}
		class, err := b.ClassOf(n)
		if (err != nil) != (c.class == "") || err == nil && class.ID != c.class {
			t.Errorf("%s: %v %v, want %q", c.name, class, err, c.class)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	b := seal(t, sample(t, 1))
	write := func() string {
		p := filepath.Join(t.TempDir(), "b")
		if err := b.WriteDir(p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, f := range b.files {
		for what, edit := range map[string]func([]byte) []byte{
			"altered":   func(d []byte) []byte { d[len(d)/2] ^= 1; return d },
			"truncated": func(d []byte) []byte { return d[:len(d)/2] },
		} {
			p := write()
			if err := os.WriteFile(filepath.Join(p, f.name), edit(bytes.Clone(f.data)), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Read(p)
			names := []string{f.name}
			if f.name == digestFile {
				names = []string{manifestFile, provenanceFile}
			}
			if err == nil || !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(err.Error(), n) }) {
				t.Errorf("%s %s: %v", what, f.name, err)
			}
		}
		p := write()
		_ = os.Remove(filepath.Join(p, f.name))
		if _, err := Read(p); err == nil || !strings.Contains(err.Error(), f.name) {
			t.Errorf("without %s: %v", f.name, err)
		}
		p = write()
		_ = os.Rename(filepath.Join(p, f.name), filepath.Join(filepath.Dir(p), "x"))
		_ = os.Symlink(filepath.Join(filepath.Dir(p), "x"), filepath.Join(p, f.name))
		if _, err := Read(p); err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("link %s: %v", f.name, err)
		}
	}
	p := write()
	for format, help := range map[string]string{"3": "or a newer one", "1": "compile it again"} {
		_ = os.WriteFile(filepath.Join(p, manifestFile), []byte(`{"formatVersion":"`+format+`","new":true}`), 0o644)
		if _, err := Read(p); err == nil || !strings.Contains(err.Error(), `format "`+format+`"`) || !strings.Contains(err.Error(), help) {
			t.Errorf("format %s: %v", format, err)
		}
	}
	if _, err := Read(filepath.Join(p, "nothing")); err == nil {
		t.Error("nothing is read")
	}
	if err := b.WriteDir(t.TempDir()); err != nil {
		t.Errorf("empty directory: %v", err)
	}
	full := t.TempDir()
	_ = os.WriteFile(filepath.Join(full, "precious"), nil, 0o644)
	if err := b.WriteDir(full); err == nil {
		t.Error("a directory that is not a bundle was replaced")
	}
}

func TestArchiveRefuses(t *testing.T) {
	var sound bytes.Buffer
	if err := seal(t, sample(t, 1)).Archive(&sound); err != nil {
		t.Fatal(err)
	}
	pack := func(hs ...tar.Header) []byte {
		var buf bytes.Buffer
		zw := gzip.NewWriter(&buf)
		tw := tar.NewWriter(zw)
		for _, h := range hs {
			_ = tw.WriteHeader(&h)
			_, _ = tw.Write(make([]byte, min(h.Size, 1<<10)))
		}
		_ = tw.Flush()
		_ = zw.Close()
		return buf.Bytes()
	}
	for name, c := range map[string]struct {
		data       []byte
		code, says string
	}{
		"link":      {pack(tar.Header{Name: manifestFile, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), CodeForeign, manifestFile},
		"folder":    {pack(tar.Header{Name: "x/", Typeflag: tar.TypeDir}), CodeForeign, "x: "},
		"pipe":      {pack(tar.Header{Name: manifestFile, Typeflag: tar.TypeFifo}), CodeForeign, "named pipe"},
		"foreign":   {pack(tar.Header{Name: "readme", Typeflag: tar.TypeReg}), CodeForeign, "readme: "},
		"traversal": {pack(tar.Header{Name: "../x", Typeflag: tar.TypeReg}), CodeForeign, "../x"},
		"huge":      {pack(tar.Header{Name: manifestFile, Typeflag: tar.TypeReg, Size: limit.BundleBytes + 1}), CodeTooLarge, manifestFile},
		"twice":     {pack(tar.Header{Name: digestFile, Typeflag: tar.TypeReg}, tar.Header{Name: "./" + digestFile, Typeflag: tar.TypeReg}), CodeForeign, "twice"},
		"no end":    {pack(tar.Header{Name: digestFile, Typeflag: tar.TypeReg}), CodeAltered, "lacks its end"},
		"tail":      {append(bytes.Clone(sound.Bytes()), make([]byte, 3<<20)...), CodeAltered, "behind its end"},
		"cut":       {sound.Bytes()[:sound.Len()-1], CodeAltered, "unexpected EOF"},
		"empty":     {nil, CodeMalformed, "gzip"},
		"not gzip":  {[]byte("hello"), CodeMalformed, "gzip"},
	} {
		_, err := ReadArchive(bytes.NewReader(c.data))
		var e *Error
		if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSmallPartsAreBounded: a file of a few megabytes cannot stand for gigabytes of memory, whichever file it is; the digests
// fit.
func TestSmallPartsAreBounded(t *testing.T) {
	for _, name := range []string{indexFile, originsFile, setsFile, workloadsFile, manifestFile, provenanceFile} {
		for _, part := range []string{"{}", "[]", "0", `""`, "null"} {
			b := seal(t, sample(t, 1))
			for i, f := range b.files {
				if f.name == name {
					key := map[string]string{setsFile: "sets", workloadsFile: "workloads", manifestFile: "classes"}[name]
					if key == "" {
						key = "resources"
					}
					b.files[i].data = []byte(`{"` + key + `":[` + strings.Repeat(part+",", 1<<20) + part + "]}")
				}
			}
			_, err := parse(resealed(t, b))
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeTooLarge || e.File != name {
				t.Errorf("%s of %s: %v", name, part, err)
			}
		}
	}
}

// resealed are the files of a bundle, with digests that fit what is in them; a manifest or provenance that was edited stays.
func resealed(t *testing.T, b *Bundle) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, f := range b.files {
		files[f.name] = f.data
	}
	own := seal(t, sample(t, 1))
	same := func(name string) bool {
		return slices.ContainsFunc(own.files, func(f file) bool { return f.name == name && bytes.Equal(f.data, files[name]) })
	}
	kept := b.files
	b.files = slices.DeleteFunc(slices.Clone(kept), func(f file) bool {
		return f.name == manifestFile || f.name == digestFile || f.name == provenanceFile
	})
	if same(manifestFile) {
		m, err := b.encodeManifest()
		if err != nil {
			t.Fatal(err)
		}
		files[manifestFile] = m
	}
	b.Digest = sha256.Sum256(files[manifestFile])
	if same(provenanceFile) {
		files[provenanceFile] = b.encodeProvenance()
	}
	b.Provenance.Digest = sha256.Sum256(files[provenanceFile])
	files[digestFile], b.files = b.encodeDigests(), kept
	return files
}

func TestXDS(t *testing.T) {
	b := seal(t, sample(t, 1))
	j, err := b.XDS(b.Class("a"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(string(j)), "")
	if want := `{"listeners":[],"routes":[{"name":"80","virtualHosts":[{"name":"a","domains":["a"]},{"name":"b","domains":["b"]}]}],"clusters":[{"name":"inbound|80||"},{"name":"outbound|80||a"}],"endpoints":[]}`; got != want {
		t.Errorf("got %s", got)
	}
}

func FuzzReadArchive(f *testing.F) {
	b := seal(f, sample(f, 1))
	var buf bytes.Buffer
	if err := b.Archive(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		defer watchdog.Watch(t)()
		if b, err := ReadArchive(bytes.NewReader(data)); err == nil {
			for _, c := range b.Classes {
				c.Resources()
			}
		}
	})
}

// FuzzParse takes the wrapping away: the fuzzer writes one file, digests are made to fit.
func FuzzParse(f *testing.F) {
	b := seal(f, sample(f, 1))
	for i, x := range b.files {
		f.Add(i, x.data)
	}
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		defer watchdog.Watch(t)()
		b := seal(t, sample(t, 1))
		if which >= 0 && which < len(b.files) {
			b.files[which].data = data
		}
		if r, err := parse(resealed(t, b)); err == nil {
			for _, cl := range r.Classes {
				_, _ = r.XDS(cl)
			}
		}
	})
}

func FuzzNode(f *testing.F) {
	f.Add([]byte(`{"id":"sidecar~10.0.0.1~p.default~default.svc.cluster.local","metadata":{"NAMESPACE":"default","LABELS":{"app":"a"}}}`))
	b := seal(f, sample(f, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		defer watchdog.Watch(t)()
		if n, err := NodeFromJSON(data); err == nil {
			_, _ = b.ClassOf(n)
		}
	})
}
