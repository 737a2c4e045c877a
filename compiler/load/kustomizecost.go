package load

import (
	"fmt"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/meshc/meshc/internal/limit"
)

// kustomizationFolder is a kustomization that was scanned, and what decides what it costs to build.
type kustomizationFolder struct {
	file       string
	files      []string // resources
	bases      []base
	directives int   // what it does to each of its objects
	cost       *cost // nil: not known yet

	kind       string   // of the file: a component is applied to the objects of others
	resources  []string // as the file names them
	components []string
	generates  bool // ConfigMaps or Secrets, beside what it names
	plugins    bool // generate what nobody knows before
	patches    []patch
}

// base is another kustomization that one builds on, and where it says so.
type base struct {
	dir string
	reference
}

// cost is what kustomize does to build a folder: it builds a base again for every way that leads to it, compares each object
// with those that are there, and asks each about every directive.
type cost struct{ builds, objects, steps int64 }

// manyMore is beyond any limit, and its square is no overflow.
const manyMore = 1 << 30

// directiveSteps is how many comparisons of objects take the time that one directive takes on one object.
const directiveSteps = 50

func (c *cost) add(o *cost) {
	c.builds = min(c.builds+o.builds, manyMore)
	c.objects = min(c.objects+o.objects, manyMore)
	c.steps = min(c.steps+o.steps, manyMore*manyMore)
}

// costOf sums up a folder and its bases, each of which is looked at once. One that includes itself ends the build where
// kustomize meets it again.
func (k *kustomization) costOf(dir string) *cost {
	at := k.folders[dir]
	if at == nil {
		return &cost{}
	}
	if at.cost == nil {
		at.cost = &cost{}
		c := cost{builds: 1}
		for _, f := range at.files {
			c.objects += int64(k.weigh(f))
		}
		for _, b := range at.bases {
			c.add(k.costOf(b.dir))
		}
		c.add(&cost{steps: c.objects * (c.objects + int64(at.directives)*directiveSteps)})
		at.cost = &c
	}
	return at.cost
}

// affordable refuses what kustomize would not come to an end with, at the base that is most of it.
func (k *kustomization) affordable() bool {
	c := k.costOf(k.dir)
	why := ""
	switch {
	case c.builds > limit.KustomizeBuilds:
		why = fmt.Sprintf("this takes more than %d builds of the %d kustomizations below it, since each is built once for every way that leads to it", limit.KustomizeBuilds, len(k.dirs))
	case c.steps > limit.KustomizeSteps:
		why = fmt.Sprintf("this takes about %d comparisons of objects, of which there are %d in %d builds; the limit is %d", c.steps, c.objects, c.builds, limit.KustomizeSteps)
	default:
		return true
	}
	at, line := k.folders[k.dir], 1
	var most cost
	for _, b := range at.bases {
		if x := k.costOf(b.dir); x.builds > most.builds || x.builds == most.builds && x.steps > most.steps {
			most, line = *x, b.line
		}
	}
	k.fail(at.file, line, "MESHC1005", why, "Include each base once, and build what is apart as sources of their own.")
	return false
}

// directives counts what a kustomization does to each of its objects.
func directives(k *types.Kustomization) int {
	n := len(k.Patches) + len(k.PatchesStrategicMerge) + len(k.PatchesJson6902) + len(k.Images) + len(k.Replicas) + len(k.Vars) +
		len(k.Labels) + len(k.Generators) + len(k.Transformers) + len(k.Validators)
	for _, r := range k.Replacements {
		n += max(len(r.Targets), 1)
	}
	return n
}

// weigh counts the objects in a file that is a resource. What is beyond the limits of YAML is reported.
func (k *kustomization) weigh(file string) int {
	if n, known := k.weighed[file]; known {
		return n
	}
	n := 0
	if data, ok := readEntry(k.b, k.fsys, file, k.name(file)); ok {
		p := &parser{file: inputFile(k.name(file), data), out: k.b}
		for _, o := range objectNodes(data) {
			if _, over := p.bounded(o); over {
				break
			}
			n++
		}
	}
	k.weighed[file] = n
	return n
}
