package change

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

// Untried is something that no request was made for: a condition without a value that meets it, a host without a name to
// call, a request that only one of the bundles can follow. What differs there is not seen.
type Untried struct {
	What    string          `json:"what"`  // path, method, header NAME, query NAME, identity, condition, host, request
	Value   string          `json:"value"` // as the configuration has it
	Why     string          `json:"why"`
	Type    string          `json:"type,omitempty"` // of the resource
	Name    string          `json:"name,omitempty"` // of the resource
	Origins []bundle.Origin `json:"origins,omitempty"`
}

// missed notes what no request was made for in a part of a resource, once a resource.
func (f *finder) missed(r *bundle.Resource, part names.Part, list ...Untried) {
	for _, u := range list {
		u.Type, u.Name = shortType(r.Type), r.Name
		if !slices.ContainsFunc(f.untried, func(o Untried) bool {
			return o.What == u.What && o.Value == u.Value && o.Why == u.Why && o.Type == u.Type && o.Name == u.Name
		}) {
			at := r.OriginsAt(part)
			u.Origins = at[:min(3, len(at))]
			f.untried = append(f.untried, u)
		}
	}
}

func shortType(url string) string { return url[strings.LastIndexByte(url, '.')+1:] }

// oneSided says which of two states cannot follow a request.
func oneSided(before, after error) string {
	if before != nil {
		return fmt.Sprintf("only the new state says what becomes of it; the old one: %v", before)
	}
	return fmt.Sprintf("only the old state says what becomes of it; the new one: %v", after)
}

// blind notes the resources that differ and through which no request could be followed in either bundle.
func (r *Report) blind(all []looked, lost map[int]error) {
	for _, l := range all {
		if len(l.requests) == 0 || l.held.base == nil || l.held.head == nil {
			continue
		}
		var why error
		followed := slices.ContainsFunc(l.requests, func(i int) bool { why = lost[i]; return why == nil })
		u := Untried{What: "request", Type: shortType(l.key.url), Name: l.key.name}
		if followed || slices.ContainsFunc(r.Untried, func(o Untried) bool { return o.What == u.What && o.Type == u.Type && o.Name == u.Name }) {
			continue
		}
		u.Value, u.Why = l.key.name, fmt.Sprintf("none could be followed through it: %v", why)
		r.Untried = append(r.Untried, u)
	}
}

// Blind tells whether something that changed could not be followed, so that the absence of differences says nothing about it.
func (r *Report) Blind() bool {
	return slices.ContainsFunc(r.Untried, func(u Untried) bool { return u.What == "request" })
}
