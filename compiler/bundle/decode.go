package bundle

import (
	"math"
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/limit"
)

func (b *Bundle) readIndex(ix *index, data, blob []byte) error {
	if err := strict(indexFile, data, ix); err != nil {
		return err
	}
	if len(ix.Resources) > math.MaxInt32 {
		return refuse(CodeTooLarge, indexFile, "", "lists too many resources")
	}
	if !ix.Plan.Whole() {
		return refuse(CodeMalformed, indexFile, "", "has a plan of endpoints with parts missing")
	}
	rs := make([]Resource, len(ix.Resources))
	b.Resources = make([]*Resource, len(rs))
	at := 0
	for i := range ix.Resources {
		r := &rs[i]
		if err := ix.resource(i, r, blob, at); err != nil {
			return err
		}
		at += len(r.Bytes)
		if i > 0 && compareResources(b.Resources[i-1], r) >= 0 {
			return refuse(CodeMalformed, indexFile, "", "resource %d (%s) is out of order", i, r.Name)
		}
		b.Resources[i] = r
	}
	b.Plan, b.TrustDomain, b.Services = ix.Plan, ix.TrustDomain, ix.Services
	if at != len(blob) {
		return refuse(CodeMalformed, resourcesFile, "", "has %d bytes that no resource claims", len(blob)-at)
	}
	return nil
}

// resource reads the i-th entry, whose bytes begin at a position.
func (ix *index) resource(i int, r *Resource, blob []byte, at int) error {
	e := &ix.Resources[i]
	if e.Type < 0 || e.Type >= len(ix.Types) || typeRank(ix.Types[e.Type]) < 0 {
		return refuse(CodeMalformed, indexFile, "", "resource %d (%s) has a type that a bundle does not hold", i, e.Name)
	}
	if e.Offset != at || e.Length < 0 || e.Length > len(blob)-at {
		return refuse(CodeMalformed, indexFile, "", "resource %d (%s) does not lie where the one before it ends", i, e.Name)
	}
	digest, ok := parseDigest(e.Digest)
	*r = Resource{Type: ix.Types[e.Type], Name: e.Name, Bytes: blob[at : at+e.Length : at+e.Length], Digest: digest, Selector: e.Selector, Join: e.Join, index: int32(i)}
	if !ok || ResourceDigest(r.Type, r.Name, r.Bytes) != digest {
		return refuse(CodeAltered, resourcesFile, "fetch the bundle again", "resource %d (%s) does not have the digest that the index says", i, e.Name)
	}
	if r.Join != nil && (r.Type != EndpointsType || !ix.Plan.Valid(r.Join)) {
		return refuse(CodeMalformed, indexFile, "", "resource %d (%s) is joined with something that the plan does not have", i, e.Name)
	}
	return nil
}

func (b *Bundle) readOrigins(data []byte) error {
	var o origins
	if err := strict(originsFile, data, &o); err != nil {
		return err
	}
	if len(o.Resources) != len(b.Resources) {
		return refuse(CodeMalformed, originsFile, "", "speaks of %d resources, the index lists %d", len(o.Resources), len(b.Resources))
	}
	for i, from := range o.Resources {
		if len(from) == 0 {
			continue
		}
		out := make([]Origin, len(from))
		for j, e := range from {
			if e.File < 0 || e.File >= len(o.Files) || e.Object < 0 || e.Object >= len(o.Objects) {
				return refuse(CodeMalformed, originsFile, "", "resource %d refers to a file or object that is not listed", i)
			}
			obj := o.Objects[e.Object]
			out[j] = Origin{At: e.At, File: o.Files[e.File], Line: e.Line, Column: e.Column, Kind: obj[0], Namespace: obj[1], Name: obj[2], Field: e.Field}
		}
		b.Resources[i].Origins = out
	}
	return nil
}

func (b *Bundle) readSets(data []byte, classes []classEntry) error {
	var in struct {
		Sets []setEntry `json:"sets"`
	}
	if err := strict(setsFile, data, &in); err != nil {
		return err
	}
	byDigest := make(map[string]*Set, len(in.Sets))
	total := 0
	for i, e := range in.Sets {
		s := &Set{}
		var err error
		if s.Resources, err = b.ranges(e.Resources); err != nil {
			return err
		}
		// Sets overlap little; a file that lists everything in each of thousands is made to exhaust memory.
		if total += len(s.Resources); total > limit.BundleSetResources {
			return refuse(CodeTooLarge, setsFile, "", "lists too many resources")
		}
		s.Digest = setDigest(s.Resources)
		if s.Digest.String() != e.Digest {
			return refuse(CodeAltered, setsFile, "fetch the bundle again", "set %d does not have the digest it says", i)
		}
		if byDigest[e.Digest] != nil {
			return refuse(CodeMalformed, setsFile, "", "set %d is there twice", i)
		}
		byDigest[e.Digest] = s
		b.Sets = append(b.Sets, s)
	}
	for _, e := range classes {
		c := &Class{ID: e.ID, Gateway: e.Gateway, Namespace: e.Namespace, Selectors: e.Selectors, Workloads: e.Workloads, ServiceAccounts: e.ServiceAccounts}
		if len(e.Sets) > limit.BundleClassSets {
			return refuse(CodeTooLarge, manifestFile, "", "class %q has %d sets; the limit is %d", c.ID, len(e.Sets), limit.BundleClassSets)
		}
		if !slices.IsSorted(c.Selectors) {
			return refuse(CodeMalformed, manifestFile, "", "class %q: selectors are not sorted", c.ID)
		}
		for _, d := range e.Sets {
			s := byDigest[d]
			if s == nil || slices.Contains(c.Sets, s) {
				return refuse(CodeMalformed, manifestFile, "", "class %q names the set %s, which is not there or named twice", c.ID, d)
			}
			c.Sets = append(c.Sets, s)
		}
		b.Classes = append(b.Classes, c)
	}
	if !slices.IsSortedFunc(b.Selectors, func(x, y Selector) int { return strings.Compare(x.ID, y.ID) }) {
		return refuse(CodeMalformed, manifestFile, "", "selectors are not sorted")
	}
	return nil
}

// ranges reads "0-174,180" into resources.
func (b *Bundle) ranges(s string) ([]*Resource, error) {
	var out []*Resource
	if err := eachRange(s, len(b.Resources), func(lo, hi int) { out = append(out, b.Resources[lo:hi+1]...) }); err != nil {
		return nil, refuse(CodeMalformed, setsFile, "", "%v", err)
	}
	return out, nil
}
