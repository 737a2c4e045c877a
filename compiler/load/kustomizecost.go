package load

import (
	"fmt"
	"math"
	"regexp"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/meshc/meshc/internal/limit"
)

// kustomizationFolder is a kustomization that was scanned, and what decides what it costs to build.
type kustomizationFolder struct {
	file     string
	files    []string // resources
	bases    []base
	work     int64 // what it does to each of its objects, in comparisons of objects
	separate bool  // what it does to an object depends on no other
	cost     *cost // nil: not known yet

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
type cost struct {
	builds, objects int64
	pairs           int64 // of objects, that are compared
	work            int64 // of directives, in comparisons
	separate        bool  // objects can be built apart from each other
}

// What kustomize does, in the time that it takes to compare two objects, which is two to four microseconds.
const (
	buildSteps  = 500 // reads one kustomization
	broadSteps  = 50  // applies a directive to an object, or asks all its fields
	narrowSteps = 3   // finds that a patch is for another object
)

// manyMore is beyond any limit, and its square is no overflow.
const manyMore = 1 << 30

func (c *cost) add(o *cost) {
	c.builds = min(c.builds+o.builds, manyMore)
	c.objects = min(c.objects+o.objects, manyMore)
	c.pairs = min(c.pairs+o.pairs, manyMore*manyMore)
	c.work = min(c.work+o.work, manyMore*manyMore)
	c.separate = c.separate && o.separate
}

// steps is how many comparisons of objects take the time of all.
func (c *cost) steps() int64 {
	return min(c.pairs, manyMore*manyMore) + min(c.work, manyMore*manyMore) + c.builds*buildSteps
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
		c := cost{builds: 1, separate: at.separate}
		for _, f := range at.files {
			c.objects += int64(k.weigh(f))
		}
		for _, b := range at.bases {
			c.add(k.costOf(b.dir))
		}
		c.add(&cost{pairs: c.objects * c.objects, work: c.objects * min(at.work, manyMore), separate: true})
		at.cost = &c
	}
	return at.cost
}

// affordable refuses what kustomize would not come to an end with, at the base that is most of it. It takes what this costs from
// what the source may still cost, since a few small files can name the same objects again and again.
func (k *kustomization) affordable(left *int64) bool {
	c := k.costOf(k.dir)
	steps := k.plan().steps(c)
	*left -= steps
	why := ""
	switch {
	case c.builds > limit.KustomizeBuilds:
		why = fmt.Sprintf("this takes more than %d builds of the %d kustomizations below it, since each is built once for every way that leads to it", limit.KustomizeBuilds, len(k.dirs))
	case *left < 0 && steps > limit.KustomizeSteps:
		why = fmt.Sprintf("this takes about %d comparisons of objects, of which there are %d in %d builds; the limit is %d", steps, c.objects, c.builds, limit.KustomizeSteps)
	case *left < 0:
		why = fmt.Sprintf("the kustomizations of this source take more than %d comparisons of objects in all", limit.KustomizeSteps)
	default:
		return true
	}
	at, line := k.folders[k.dir], 1
	var most cost
	for _, b := range at.bases {
		if x := k.costOf(b.dir); x.builds > most.builds || x.builds == most.builds && x.steps() > most.steps() {
			most, line = *x, b.line
		}
	}
	k.fail(at.file, line, "MESHC1005", why, "Include each base once, and build what is apart as sources of their own; what only sets a namespace, labels, annotations and images takes many more objects than what patches, renames or replaces.")
	return false
}

// plan is how objects are given to kustomize: in so many parts, of at most so many of them in all.
type plan struct{ parts, most, objects int64 }

// partObjects is how many objects a part has at least.
const partObjects = 200

// plan divides the objects of a kustomization so that all takes least, if they can be built apart.
func (k *kustomization) plan() plan {
	c := k.costOf(k.dir)
	one := plan{parts: 1, most: 1, objects: 1}
	if !c.separate || c.objects < 2*partObjects || c.objects >= manyMore {
		return one
	}
	objects, largest := int64(0), int64(0)
	for _, f := range k.resourceFiles() {
		n := int64(k.weigh(f))
		objects += n
		if !k.divisible(f) {
			largest = max(largest, n)
		}
	}
	parts := min(int64(math.Sqrt(float64(c.pairs)/float64(c.builds*buildSteps))), objects/partObjects)
	if parts < 2 {
		return one
	}
	return plan{parts: parts, most: max((objects+parts-1)/parts, largest), objects: objects}
}

// steps is what a build costs that goes by the plan: pairs are in one part only.
func (p plan) steps(c *cost) int64 {
	d := *c
	if p.parts > 1 {
		d.builds *= p.parts
		d.pairs = int64(float64(c.pairs) * float64(min(p.most, p.objects)) / float64(p.objects))
	}
	return d.steps()
}

// workOf is what a kustomization does to each of its objects, in comparisons of objects.
func workOf(k *types.Kustomization, patches []patch) int64 {
	n := len(k.Images) + len(k.Replicas) + len(k.Vars) + len(k.Labels) + len(k.Generators) + len(k.Transformers) + len(k.Validators)
	for _, r := range k.Replacements {
		n += max(len(r.Targets), 1)
	}
	narrow := 0
	for _, p := range patches {
		if p.target == nil || p.target.Name != "" && regexp.QuoteMeta(p.target.Name) == p.target.Name {
			narrow++
		} else {
			n++
		}
	}
	return int64(n)*broadSteps + int64(narrow)*narrowSteps
}

// separately tells whether what a kustomization does to an object depends on no other object.
func separately(k types.Kustomization) bool {
	if k.Kind == types.ComponentKind {
		return false
	}
	k.MetaData, k.Resources, k.Bases, k.BuildMetadata = nil, nil, nil, nil
	k.Namespace, k.CommonLabels, k.Labels, k.CommonAnnotations, k.Images, k.ImageTags = "", nil, nil, nil, nil, nil
	return k.CheckEmpty() != nil
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
