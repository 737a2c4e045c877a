package golden

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/compiler"
)

// The same objects give the same bundle whether they stand in the source or are observed in a cluster: what Git cannot hold of
// each input (addresses of Services, EndpointSlices, Pods, Nodes) and its Namespaces are taken out of the source and handed over
// as what the cluster has. The meshes below the folders in MESHC_DIGEST_INPUTS are tried as well.
func TestObservedAlike(t *testing.T) {
	compared := 0
	for _, file := range cases(t) {
		g := read(t, file)
		compared += observedAlike(t, file, g.sources, compiler.Options{Lenient: g.settings.Lenient, Severity: g.settings.Severity})
	}
	for _, dir := range filepath.SplitList(os.Getenv("MESHC_DIGEST_INPUTS")) {
		for _, mesh := range meshesIn(t, dir) {
			compared += observedAlike(t, mesh, filesIn(t, mesh), compiler.Options{Lenient: true})
		}
	}
	if compared < 30 {
		t.Errorf("only %d inputs had something to observe", compared)
	}
}

// observedAlike compares the bundle of a whole input with that of its parts, and returns how many there were: 0 or 1.
func observedAlike(t *testing.T, name string, sources []string, opts compiler.Options) int {
	t.Helper()
	dir := t.TempDir()
	var intent, observed []string
	seen := false
	for _, s := range sources {
		a, b, some := split(t, s)
		seen = seen || some
		for _, part := range []struct {
			text []byte
			to   *[]string
			in   string
		}{{a, &intent, "intent"}, {b, &observed, "observed"}} {
			if len(part.text) == 0 {
				continue
			}
			path := filepath.Join(dir, part.in, filepath.Base(s))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, part.text, 0o600); err != nil {
				t.Fatal(err)
			}
			*part.to = append(*part.to, path)
		}
	}
	if !seen || len(intent) == 0 {
		return 0
	}
	digest := func(sources []string, o compiler.Options) string {
		r, found, err := compiler.Compile(context.Background(), sources, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Bundle == nil {
			var b strings.Builder
			for _, d := range found {
				b.WriteString("\n" + d.Pos.String() + " " + d.Code + " " + d.Message)
			}
			return "none" + b.String()
		}
		return r.Bundle.Digest.String()
	}
	whole := digest(sources, opts)
	if strings.HasPrefix(whole, "none") {
		return 0
	}
	opts.Observed = observed
	if joined := digest(intent, opts); joined != whole {
		t.Errorf("%s: compiled as a whole %s, joined %s", name, whole, joined)
	}
	return 1
}

// split takes what only a cluster knows out of a file. It tells whether there was something.
func split(t *testing.T, file string) (intent, observed []byte, some bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	write := func(to *bytes.Buffer, doc map[string]any) {
		out, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		to.WriteString("---\n")
		to.Write(out)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return text, nil, false // broken on purpose
		}
		spec, _ := doc["spec"].(map[string]any)
		switch doc["kind"] {
		case "EndpointSlice", "Node":
			some = true
			write(&b, doc)
		case "Namespace":
			write(&b, doc)
		case "Pod":
			if doc["status"] == nil {
				write(&a, doc)
				continue
			}
			some = true
			write(&b, doc)
		case "Service":
			write(&b, doc)
			if ip, _ := spec["clusterIP"].(string); ip != "" && ip != "None" {
				some = true
				delete(spec, "clusterIP")
				delete(spec, "clusterIPs")
			}
			write(&a, doc)
		default:
			if len(doc) > 0 {
				write(&a, doc)
			}
		}
	}
	return a.Bytes(), b.Bytes(), some
}
