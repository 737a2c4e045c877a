package bundle

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/names"
)

// manifest is manifest.json.
type manifest struct {
	FormatVersion string               `json:"formatVersion"`
	EnvoyMin      string               `json:"envoyMin"`
	Files         map[string]fileEntry `json:"files"`
	Selectors     []Selector           `json:"selectors"`
	Classes       []classEntry         `json:"classes"`
}

type fileEntry struct {
	Digest string `json:"digest"`
	Size   int    `json:"size"`
}

type classEntry struct {
	ID              string   `json:"id"`
	Gateway         bool     `json:"gateway,omitempty"`
	Namespace       string   `json:"namespace"`
	Selectors       []string `json:"selectors,omitempty"`
	Workloads       []string `json:"workloads,omitempty"`
	ServiceAccounts []string `json:"serviceAccounts,omitempty"`
	Sets            []string `json:"sets"`
}

// Names of the files of a bundle.
const (
	digestFile     = "digest"
	manifestFile   = "manifest.json"
	indexFile      = "index.json"
	resourcesFile  = "resources.bin"
	setsFile       = "sets.json"
	workloadsFile  = "workloads.json"
	provenanceFile = "provenance.json"
	originsFile    = "origins.json"
)

// Seal makes a bundle of compiled resources. It refuses private keys, two resources of one type and name in a class
// that differ, and classes that no node could be told apart by. Input is not changed, but for the digests of resources
// that came without one; resources and bytes are shared with the bundle.
func Seal(in Input) (*Bundle, error) {
	s := &sealer{sets: map[*Set]*Set{}, byDigest: map[Digest]*Set{}, canonical: map[*Resource]*Resource{}}
	if err := s.collect(in.Classes); err != nil {
		return nil, err
	}
	s.order()
	b := &Bundle{Provenance: Provenance{Compiler: in.Compiler, Source: in.Source}, EnvoyMin: in.EnvoyMin, Rollout: in.Rollout, Resources: s.resources, Plan: in.Plan}
	b.Selectors = slices.Clone(in.Selectors)
	slices.SortFunc(b.Selectors, func(a, c Selector) int { return cmp.Compare(a.ID, c.ID) })
	b.Workloads = slices.Clone(in.Workloads)
	slices.SortFunc(b.Workloads, func(a, c Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, c.Namespace), cmp.Compare(a.Name, c.Name), cmp.Compare(a.Kind, c.Kind))
	})
	b.TrustDomain, b.Services = in.TrustDomain, slices.Clone(in.Services)
	slices.SortFunc(b.Services, func(a, c Service) int {
		return cmp.Or(cmp.Compare(a.Cluster, c.Cluster), cmp.Compare(a.Hostname, c.Hostname), cmp.Compare(a.Namespace, c.Namespace))
	})
	s.seal(b, in.Classes)
	if err := b.finish(); err != nil {
		return nil, err
	}
	if err := b.encode(); err != nil {
		return nil, err
	}
	s.found.files(b)
	b.Credentials = s.found.credentials
	if err := s.found.refused(); err != nil {
		return nil, err
	}
	return b, nil
}

type sealer struct {
	resources []*Resource
	sets      map[*Set]*Set // given to sealed
	byDigest  map[Digest]*Set
	canonical map[*Resource]*Resource // given to the one that stands for all equal ones
	found     secrets
}

// collect gathers the distinct resources of all sets.
func (s *sealer) collect(classes []Class) error {
	for i := range classes {
		for _, set := range classes[i].Sets {
			if s.sets[set] != nil {
				continue
			}
			s.sets[set] = &Set{}
			for _, r := range set.Resources {
				if s.canonical[r] != nil {
					continue
				}
				s.canonical[r] = r
				s.resources = append(s.resources, r)
			}
		}
	}
	for _, r := range s.resources {
		if typeRank(r.Type) < 0 {
			return &Error{Code: CodeMalformed, Message: "resource " + r.Name + " has the type " + r.Type + ", which a bundle cannot hold", Origins: r.Origins}
		}
		if r.Digest == (Digest{}) {
			r.Digest = ResourceDigest(r.Type, r.Name, r.Bytes)
		}
	}
	s.found.resources(s.resources)
	return s.found.refused()
}

// order sorts the resources, folds equal ones into one, and numbers them. The origins of equal ones are merged at once:
// every class may have the same inbound cluster.
func (s *sealer) order() {
	slices.SortStableFunc(s.resources, compareResources)
	out := make([]*Resource, 0, len(s.resources))
	for i := 0; i < len(s.resources); {
		c := *s.resources[i] // numbers differ from bundle to bundle: a resource may be sealed into many
		j := i + 1
		for j < len(s.resources) && compareResources(&c, s.resources[j]) == 0 {
			j++
		}
		c.Origins = mergeOrigins(s.resources[i:j])
		c.index = int32(len(out))
		for _, r := range s.resources[i:j] {
			s.canonical[r] = &c
		}
		out = append(out, &c)
		i = j
	}
	s.resources = out
}

// seal builds sets and classes.
func (s *sealer) seal(b *Bundle, classes []Class) {
	for given, sealed := range s.sets {
		sealed.Resources = make([]*Resource, len(given.Resources))
		for i, r := range given.Resources {
			sealed.Resources[i] = s.canonical[r]
		}
		slices.SortFunc(sealed.Resources, func(a, c *Resource) int { return cmp.Compare(a.index, c.index) })
		sealed.Resources = slices.Compact(sealed.Resources)
		sealed.Digest, sealed.Requires = setDigest(sealed.Resources), mostOf(slices.Clone(given.Requires))
	}
	b.Classes = make([]*Class, len(classes))
	for i := range classes {
		c := classes[i]
		c.Selectors = sortedCopy(c.Selectors)
		c.Workloads = sortedCopy(c.Workloads)
		c.ServiceAccounts = sortedCopy(c.ServiceAccounts)
		sets := make([]*Set, 0, len(c.Sets))
		for _, g := range c.Sets {
			sealed := s.sets[g]
			if one := s.byDigest[sealed.Digest]; one != nil {
				sealed = one
			} else {
				s.byDigest[sealed.Digest] = sealed
				b.Sets = append(b.Sets, sealed)
			}
			if len(sealed.Resources) > 0 && !slices.Contains(sets, sealed) {
				sets = append(sets, sealed)
			}
		}
		slices.SortFunc(sets, compareSets)
		c.Sets = sets
		b.Classes[i] = &c
	}
	b.Sets = slices.DeleteFunc(b.Sets, func(s *Set) bool { return len(s.Resources) == 0 })
	slices.SortFunc(b.Sets, compareSets)
	slices.SortFunc(b.Classes, func(a, c *Class) int { return cmp.Compare(a.ID, c.ID) })
}

func sortedCopy(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

func compareSets(a, b *Set) int { return bytes.Compare(a.Digest[:], b.Digest[:]) }

func setDigest(rs []*Resource) (d Digest) {
	h := sha256.New()
	var buf []byte
	for _, r := range rs {
		h.Write(r.Digest[:])
		if r.Join != nil { // endpoints that are equal now and will not be are different resources
			buf = joinKey(buf[:0], r.Join)
			h.Write(buf)
		}
	}
	h.Sum(d[:0])
	return d
}

// joinKey encodes a join, equal ones alike.
func joinKey(out []byte, j *endpoint.Join) []byte {
	out = binary.AppendUvarint(out, uint64(j.Client))
	out = binary.AppendUvarint(out, uint64(j.Port))
	out = binary.AppendUvarint(out, uint64(len(j.Services)))
	for _, s := range j.Services {
		out = binary.AppendUvarint(out, uint64(s))
	}
	if len(j.Labels) > 0 {
		out = appendJSON(out, j.Labels)
	}
	return out
}

func compareJoins(a, b *endpoint.Join) int {
	switch {
	case a == b:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return bytes.Compare(joinKey(nil, a), joinKey(nil, b))
}

func typeRank(url string) int {
	switch url {
	case ClusterType:
		return 0
	case EndpointsType:
		return 1
	case ListenerType:
		return 2
	case RouteConfigurationType:
		return 3
	case VirtualHostType:
		return 4
	}
	return -1
}

func compareResources(a, b *Resource) int {
	if a == b {
		return 0
	}
	if c := compareContent(a, b); c != 0 {
		return c
	}
	if a.Selector == nil && b.Selector == nil {
		return compareJoins(a.Join, b.Join)
	}
	return cmp.Compare(selectorKey(a.Selector), selectorKey(b.Selector))
}

// compareContent orders by what a proxy gets. How a server joins endpoints may still differ.
func compareContent(a, b *Resource) int {
	return cmp.Or(cmp.Compare(typeRank(a.Type), typeRank(b.Type)), cmp.Compare(a.Name, b.Name), bytes.Compare(a.Digest[:], b.Digest[:]))
}

func selectorKey(s *endpoint.Selector) string {
	if s == nil {
		return ""
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic("bundle: endpoint selector: " + err.Error()) // strings and numbers only
	}
	return string(b)
}

func compareOrigins(a, b Origin) int {
	return cmp.Or(names.ComparePart(a.At, b.At), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Field, b.Field))
}

// mergeOrigins joins the origins of equal resources, without repeats. The order is that of At and place, so that it
// depends on no order of work.
func mergeOrigins(equal []*Resource) []Origin {
	n := 0
	for _, r := range equal {
		n += len(r.Origins)
	}
	if n == 0 {
		return nil
	}
	out := make([]Origin, 0, n)
	for _, r := range equal {
		out = append(out, r.Origins...)
	}
	slices.SortFunc(out, compareOrigins)
	return slices.Compact(out)
}

func shortType(url string) string { return url[strings.LastIndexByte(url, '.')+1:] }
