package load

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
)

// delivery is an object by which Flux or Argo CD applies a directory of a repository, as far as it changes what it applies.
type delivery struct {
	tool, name string
	pos        diag.Pos
	dir        string   // from the root of the repository
	namespace  string   // that all objects get; with unnamed those that name none
	unnamed    bool     // whether namespace is for objects without one
	kinds      []string // that patches change; "" for any
	others     []string // fields that change the names of all objects
}

// patched is an entry of a list of patches.
type patched struct {
	Patch  string
	Target struct{ Kind string }
}

// changes are the fields by which both tools change what a kustomization yields.
type changes struct {
	NamePrefix  string `yaml:"namePrefix"`
	NameSuffix  string `yaml:"nameSuffix"`
	Namespace   string
	Components  []string
	Patches     []patched
	PatchesJSON []patched `yaml:"patchesJson6902"`
}

// deliveries keeps what an object of Flux or Argo CD says of directories. One that is not of its form changes nothing.
func (p *parser) deliveries(n *yaml.Node, apiVersion, kind string) {
	group, _, _ := strings.Cut(apiVersion, "/")
	at := n
	if spec := child(n, "spec"); spec != nil {
		at = spec
	}
	add := func(tool, dir string, c changes, d delivery) {
		meta := child(n, "metadata")
		if dir = path.Clean(strings.TrimPrefix(dir, "/")); dir == "." || dir == ".." || strings.HasPrefix(dir, "../") || meta == nil {
			return
		}
		d.tool, d.name, d.dir, d.pos = tool, childText(meta, "name"), dir, p.pos(at)
		for _, x := range slices.Concat(c.Patches, c.PatchesJSON) {
			d.kinds = append(d.kinds, x.kind())
		}
		for name, set := range map[string]bool{"namePrefix": c.NamePrefix != "", "nameSuffix": c.NameSuffix != "", "components": len(c.Components) > 0} {
			if set {
				d.others = append(d.others, name)
			}
		}
		slices.Sort(d.others)
		p.out.deliveries = append(p.out.deliveries, d)
	}
	switch {
	case group == "kustomize.toolkit.fluxcd.io" && kind == "Kustomization":
		var f struct {
			Spec struct {
				Path            string
				TargetNamespace string                `yaml:"targetNamespace"`
				SourceRef       struct{ Kind string } `yaml:"sourceRef"`
				Changes         changes               `yaml:",inline"`
			}
		}
		if n.Decode(&f) == nil && f.Spec.SourceRef.Kind == "GitRepository" {
			add("Flux", f.Spec.Path, f.Spec.Changes, delivery{namespace: f.Spec.TargetNamespace})
		}
	case group == "argoproj.io" && kind == "Application":
		type from struct {
			Path      string
			Kustomize changes
		}
		var a struct {
			Spec struct {
				Source      from
				Sources     []from
				Destination struct{ Namespace string }
			}
		}
		if n.Decode(&a) != nil {
			return
		}
		for _, s := range append(a.Spec.Sources, a.Spec.Source) {
			d := delivery{namespace: s.Kustomize.Namespace}
			if d.namespace == "" {
				d.namespace, d.unnamed = a.Spec.Destination.Namespace, true
			}
			add("Argo CD", s.Path, s.Kustomize, d)
		}
	}
}

// kind is the kind of object that a patch changes, "" if it does not say.
func (p patched) kind() string {
	if p.Target.Kind != "" {
		return p.Target.Kind
	}
	var n yaml.Node
	if yaml.Unmarshal([]byte(p.Patch), &n) != nil || len(n.Content) != 1 || n.Content[0].Kind != yaml.MappingNode {
		return ""
	}
	return childText(n.Content[0], "kind")
}

// delivered warns where the objects of this source come into a cluster otherwise than they were read here, because of what the
// object that applies them changes. It is asked before objects without a namespace get one; the given one is what they get.
func (b *batch) delivered(namespace string) {
	for _, d := range b.deliveries {
		under := slices.DeleteFunc(slices.Clone(b.docs), func(o *source.Document) bool {
			return !strings.HasPrefix(b.at.fromRepository(o.File, o.File), d.dir+"/") && !strings.HasPrefix(slashRel(b.at.inside, o.File), d.dir+"/")
		})
		if len(under) == 0 {
			continue
		}
		var what []string
		other := slices.ContainsFunc(under, func(o *source.Document) bool {
			switch {
			case d.namespace == "" || source.ClusterScoped(o.APIVersion, o.Kind):
				return false
			case o.Namespace == "":
				return namespace != d.namespace
			}
			return !d.unnamed && o.Namespace != d.namespace
		})
		if other {
			what = append(what, "the namespace "+d.namespace)
		}
		if slices.ContainsFunc(d.kinds, func(kind string) bool {
			return slices.ContainsFunc(under, func(o *source.Document) bool { return kind == "" || kind == o.Kind })
		}) {
			what = append(what, "patches")
		}
		what = append(what, d.others...)
		if len(what) == 0 {
			continue
		}
		help := fmt.Sprintf("Write it into the manifests or the kustomization of %s, which every tool reads", d.dir)
		if d.tool == "Flux" {
			help += "; or check what is applied: flux build kustomization " + d.name + " --path " + d.dir + " | meshc check -"
		} else {
			help += "; or check what is applied: argocd app manifests " + d.name + " | meshc check -"
		}
		if d.unnamed && other {
			help += "; -n " + d.namespace + " gives objects without a namespace that one"
		}
		b.diags.Add(warning(d.pos, "MESHC1019", fmt.Sprintf("%s applies %s with changes that only it knows (%s), so that a cluster gets other objects than were read here", d.tool, d.dir, strings.Join(what, ", ")), help+"."))
	}
}
