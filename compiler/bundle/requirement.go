package bundle

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/internal/limit"
)

// The names of requirements.
const (
	// ProgramSize is about regular expressions: RE2 makes a program of each, and Envoy refuses those whose program is larger
	// than its runtime setting re2.max_program_size.error_level, which is 100 unless the bootstrap sets it.
	ProgramSize = "re2-program-size"
	// LiveWeights is about a layer of the runtime that the server sets: without it weights that are set while the mesh runs do
	// not reach the proxy, and those of the bundle hold.
	LiveWeights = "live-weights"
	// Extension is a message that configures an extension of Envoy.
	Extension = "extension"
)

// requirementVersion is what the names of requirements mean in this version of meshc.
const requirementVersion = 1

// BootstrapMetadata is the entry in a node's metadata in which its bootstrap says what it provides for: by the mark of
// each requirement, how much.
const BootstrapMetadata = "MESHC_BOOTSTRAP"

// Requirement is something that resources need of a proxy beyond an Envoy that is new enough.
type Requirement struct {
	Name    string `json:"name"`
	Version int    `json:"version"`           // of what the name means
	AtLeast int    `json:"atLeast,omitempty"` // how much of it
	Of      string `json:"of,omitempty"`      // which, as the name of a message
}

// NewRequirement makes a requirement of this version.
func NewRequirement(name string, atLeast int, of string) Requirement {
	return Requirement{Name: name, Version: requirementVersion, AtLeast: atLeast, Of: of}
}

// Mark is the key of a requirement in BootstrapMetadata: its name and version.
func (r Requirement) Mark() string { return r.Name + "/" + strconv.Itoa(r.Version) }

// String renders a requirement as people read it: re2-program-size/1 of at least 431.
func (r Requirement) String() string {
	s := r.Mark()
	if r.Of != "" {
		s += " " + r.Of
	}
	if r.AtLeast > 0 {
		s += " of at least " + strconv.Itoa(r.AtLeast)
	}
	return s
}

func compareRequirements(a, b Requirement) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Of, b.Of), cmp.Compare(a.AtLeast, b.AtLeast))
}

// mostOf sorts requirements and leaves of each the one that asks for most.
func mostOf(list []Requirement) []Requirement {
	slices.SortFunc(list, compareRequirements)
	var out []Requirement
	for i, r := range list {
		if i+1 == len(list) || list[i+1].Name != r.Name || list[i+1].Version != r.Version || list[i+1].Of != r.Of {
			out = append(out, r)
		}
	}
	return out
}

// Requirements are what the proxies of a class need, sorted, each once.
func (c *Class) Requirements() []Requirement {
	var list []Requirement
	for _, s := range c.Sets {
		list = append(list, s.Requires...)
	}
	return mostOf(list)
}

// Requirements are what some class of the bundle needs.
func (b *Bundle) Requirements() []Requirement {
	var list []Requirement
	for _, s := range b.Sets {
		list = append(list, s.Requires...)
	}
	return mostOf(list)
}

// Lack is a requirement that a proxy does not meet, as far as can be known.
type Lack struct {
	Requirement
	Why string
}

// Lacks tells which requirements of a class a node does not meet. has tells whether its Envoy has an extension; nil: the
// node does not say.
func (c *Class) Lacks(n Node, has func(extension string) bool) (out []Lack) {
	for _, r := range c.Requirements() {
		if why := r.lack(n, has); why != "" {
			out = append(out, Lack{r, why})
		}
	}
	return out
}

func (r Requirement) lack(n Node, has func(string) bool) string {
	switch r.Mark() {
	case NewRequirement(ProgramSize, 0, "").Mark():
		if have, says := n.Bootstrap[r.Mark()]; !says {
			return "the node does not say that its bootstrap sets re2.max_program_size.error_level; where it does not, Envoy refuses expressions of more than 100. Write it by meshc bootstrap"
		} else if have < r.AtLeast {
			return fmt.Sprintf("the bootstrap of the node sets re2.max_program_size.error_level to %d, and Envoy refuses what is larger", have)
		}
	case NewRequirement(LiveWeights, 0, "").Mark():
		if n.Bootstrap[r.Mark()] == 0 {
			return "the node does not say that its bootstrap has the runtime layer of the server, without which weights that are set live do not reach it. Write it by meshc bootstrap"
		}
	case NewRequirement(Extension, 0, "").Mark():
		if has != nil && !has(r.Of) {
			return "the Envoy of the node does not have this extension"
		}
	default:
		return "this version of meshc does not know what it means"
	}
	return ""
}

// provided reads BootstrapMetadata.
func provided(v *structpb.Value) map[string]int {
	fields := v.GetStructValue().GetFields()
	if len(fields) == 0 {
		return nil
	}
	out := make(map[string]int, len(fields))
	for mark, much := range fields {
		out[mark] = int(much.GetNumberValue())
	}
	return out
}

// requirementEntry is a requirement in index.json, with the positions of the sets that have it.
type requirementEntry struct {
	Requirement
	Sets string `json:"sets"` // ranges, as 0-3,7
}

// requirementEntries lists the requirements of all sets, sorted.
func (b *Bundle) requirementEntries() []requirementEntry {
	by := map[Requirement][]int{}
	for i, s := range b.Sets {
		for _, r := range s.Requires {
			by[r] = append(by[r], i)
		}
	}
	out := []requirementEntry{}
	for r, at := range by {
		out = append(out, requirementEntry{r, string(appendRanges(nil, len(at), func(i int) int { return at[i] }))})
	}
	slices.SortFunc(out, func(a, b requirementEntry) int { return compareRequirements(a.Requirement, b.Requirement) })
	return out
}

// readRequirements gives the sets what the index says.
func (b *Bundle) readRequirements(entries []requirementEntry) error {
	total := 0
	for _, e := range entries {
		if e.Name == "" || e.Version <= 0 {
			return refuse(CodeMalformed, indexFile, "", "has a requirement without name or version")
		}
		err := eachRange(e.Sets, len(b.Sets), func(lo, hi int) {
			if total += hi + 1 - lo; total > limit.BundleRequirements {
				return
			}
			for _, s := range b.Sets[lo : hi+1] {
				s.Requires = append(s.Requires, e.Requirement)
			}
		})
		if err != nil {
			return refuse(CodeMalformed, indexFile, "", "requirement %s: %v", e.Requirement, err)
		}
		if total > limit.BundleRequirements {
			return refuse(CodeTooLarge, indexFile, "", "lists too many requirements")
		}
	}
	return nil
}
