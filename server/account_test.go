package server

import (
	"slices"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
)

// A bundle of the digest in service pushes nothing and brings its account: the commit, and the lines that a refusal names.
func TestSameConfigurationFromAnotherCommit(t *testing.T) {
	seal := func(revision string, rs ...*bundle.Resource) *bundle.Bundle {
		b, err := bundle.Seal(bundle.Input{Compiler: "test", EnvoyMin: "1.36", Source: bundle.SourceInfo{Revision: revision}, Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": "a"}}},
			Classes: []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, ServiceAccounts: []string{"sa"}, Sets: []*bundle.Set{{Resources: rs}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, two := seal("one", base(11)...), seal("two", base(22)...)
	if one.Digest != two.Digest {
		t.Fatal("lines and the commit change the digest of the bundle")
	}
	srv, c := start(t, one, Options{})
	p := connect(t, c)
	p.warm()
	srv.Switch(two)
	p.quiet()
	if st := srv.Status(); st.Revision != "two" || st.Bundle != one.Digest.String() || !st.Nodes[0].Synced {
		t.Errorf("%+v", st)
	}
	g := srv.base()
	if g.bundle != one {
		t.Error("the bundle was switched")
	}
	if at := g.places(one.Resources[0], 5); !slices.Equal(at, []string{"mesh.yaml:22"}) {
		t.Errorf("a refusal would name %v", at)
	}
	srv.Switch(seal("three", append(without(base(33), "80/a"), vhs("80", "a", "changed"))...))
	p.ack(p.want("vhds +80/a"))
	if at := srv.base().places(one.Resources[0], 5); !slices.Equal(at, []string{"mesh.yaml:33"}) {
		t.Errorf("a refusal of what came with an older bundle would name %v", at)
	}
}
