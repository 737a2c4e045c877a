package load

import (
	"archive/tar"
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/watchdog"
)

// A tar archive is foreign as a whole: its structure, names, links and sizes.
func FuzzTar(f *testing.F) {
	archive := func(hs ...*tar.Header) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range hs {
			if h.Typeflag == tar.TypeReg {
				h.Size = 4
			}
			_ = w.WriteHeader(h)
			if h.Typeflag == tar.TypeReg {
				_, _ = w.Write([]byte("a: 1"))
			}
		}
		_ = w.Close()
		return b.Bytes()
	}
	f.Add(archive(&tar.Header{Name: "a.yaml", Typeflag: tar.TypeReg}, &tar.Header{Name: "b/kustomization.yaml", Typeflag: tar.TypeReg}))
	f.Add(archive(&tar.Header{Name: "../a.yaml", Typeflag: tar.TypeReg}, &tar.Header{Name: "l", Linkname: "/etc", Typeflag: tar.TypeSymlink}, &tar.Header{Name: "d/", Typeflag: tar.TypeDir}))
	f.Fuzz(func(t *testing.T, data []byte) {
		defer watchdog.Watch(t)()
		b := &batch{at: locate("a.tar")}
		files, err := readEntries(context.Background(), b, bytes.NewReader(data), false)
		if err != nil {
			b.refuseArchive(err)
			return
		}
		for name := range files {
			if strings.HasPrefix(name, "/") || strings.Contains("/"+name+"/", "/../") {
				t.Errorf("a file %q", name)
			}
		}
		readTree(context.Background(), b, tree{fsys: newMemFS(files), prefix: "a.tar", dir: "."})
	})
}

// A kustomization may name anything; only what lies in the tree is read.
func FuzzKustomization(f *testing.F) {
	f.Add("resources: [a.yaml, ../b, https://x.test/y, github.com/a/b?ref=c]\nnamePrefix: x-\n", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")
	f.Add("patches: [{path: p.yaml, target: {kind: Service}}]\nresources: [a.yaml]\nreplacements: []\n", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")
	f.Add("configMapGenerator: [{name: a, files: [/etc/passwd]}]\nhelmCharts: [{name: x}]\ngenerators: [g.yaml]\n", "")
	f.Fuzz(func(t *testing.T, kustomization, manifest string) {
		defer watchdog.Watch(t)()
		if len(kustomization)+len(manifest) > 1<<14 {
			return
		}
		b := &batch{at: locate("x")}
		readTree(context.Background(), b, tree{fsys: newMemFS(map[string][]byte{"kustomization.yaml": []byte(kustomization), "a.yaml": []byte(manifest), "p.yaml": []byte(manifest)}), prefix: "x", dir: "."})
	})
}

func FuzzRevision(f *testing.F) {
	f.Add("a/.git#ref=main,subdir=b")
	f.Add("#ref=")
	f.Add("a#ref=@{u}~2^{commit}")
	f.Add("a#ref=refs/../HEAD,x")
	dir := write(f, "a.yaml", objectText("Sidecar", "a"))
	commit(f, dir)
	repo, err := openRepository(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		defer watchdog.Watch(t)()
		_, rev, ok := cutRevision(s)
		if !ok {
			return
		}
		if c, msg, help := repo.commit(rev.ref); (c == nil) == (msg == "") || c == nil && help == "" {
			t.Errorf("%q: %v, %q, %q", rev.ref, c, msg, help)
		}
	})
}
