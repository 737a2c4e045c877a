package bundle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/endpoint"
)

// matcher finds the class of a node: which selectors match decides, and nothing else about the node. Label selectors
// are indexed under one of their labels, the rarest, so that a node meets few of them.
type matcher struct {
	byID        map[string]*Class
	bySignature map[string]*Class
	labels      map[string][]int // namespace, label=value → positions of selectors
	addresses   map[string][]int
	rest        []int   // locality and network
	places      *places // nil: no selector asks for either
}

func labelKey(namespace, k, v string) string { return namespace + "\x00" + k + "\x00" + v }

func (m *matcher) build(b *Bundle) error {
	*m = matcher{byID: make(map[string]*Class, len(b.Classes)), bySignature: make(map[string]*Class, len(b.Classes)),
		labels: map[string][]int{}, addresses: map[string][]int{}}
	for _, c := range b.Classes {
		if c.ID == "" || m.byID[c.ID] != nil {
			return refuse(CodeConflict, "", "", "two classes have the id %q, or one has none", c.ID)
		}
		m.byID[c.ID] = c
		key := signatureKey(c.Gateway, c.Namespace, c.Selectors)
		if o := m.bySignature[key]; o != nil {
			return refuse(CodeConflict, "", "this is a fault of the compiler; please report it", "the classes %q and %q match the same nodes", o.ID, c.ID)
		}
		m.bySignature[key] = c
	}
	count := map[string]int{}
	for i := range b.Selectors {
		for k, v := range b.Selectors[i].Labels {
			count[k+"\x00"+v]++
		}
	}
	for i := range b.Selectors {
		s := &b.Selectors[i]
		switch {
		case len(s.Labels) > 0:
			best, n := "", -1
			for k, v := range s.Labels {
				if c := count[k+"\x00"+v]; n < 0 || c < n || c == n && k < best {
					best, n = k, c
				}
			}
			key := labelKey(s.Namespace, best, s.Labels[best])
			m.labels[key] = append(m.labels[key], i)
		case s.Address != "":
			m.addresses[s.Address] = append(m.addresses[s.Address], i)
		default:
			m.rest = append(m.rest, i)
			if m.places == nil && s.Locality+s.Network != "" {
				m.places = &places{}
				m.places.build(b)
			}
		}
	}
	return nil
}

// Matches returns the ids of the selectors that match the node, sorted: its signature. Where a node does not say its locality or
// network, those of its workload in the input count.
func (b *Bundle) Matches(n Node) []string {
	if b.matcher.places != nil {
		n = b.matcher.places.complete(n)
	}
	var hits []int
	try := func(candidates []int) {
		for _, i := range candidates {
			if b.Selectors[i].Match(n) {
				hits = append(hits, i)
			}
		}
	}
	for k, v := range n.Labels {
		try(b.matcher.labels[labelKey("", k, v)])
		if n.Namespace != "" {
			try(b.matcher.labels[labelKey(n.Namespace, k, v)])
		}
	}
	for _, ip := range n.Addresses {
		try(b.matcher.addresses[ip])
	}
	try(b.matcher.rest)
	slices.Sort(hits)
	hits = slices.Compact(hits)
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = b.Selectors[h].ID // selectors are sorted by id
	}
	return ids
}

// Match tells whether the selector matches the node.
func (s *Selector) Match(n Node) bool {
	if s.Namespace != "" && s.Namespace != n.Namespace || s.Cluster != "" && s.Cluster != n.Cluster {
		return false
	}
	switch {
	case len(s.Labels) > 0:
		return endpoint.Subset(s.Labels, n.Labels)
	case s.Address != "":
		return slices.Contains(n.Addresses, s.Address)
	case s.Locality != "":
		return n.Locality == s.Locality || strings.HasPrefix(n.Locality, s.Locality+"/")
	case s.Network != "":
		return n.Network == s.Network
	default:
		return s.Cluster != ""
	}
}

// ClassOf finds the class of a node, or says why there is none: never a default.
func (b *Bundle) ClassOf(n Node) (*Class, error) {
	ids := b.Matches(n)
	if c := b.matcher.bySignature[signatureKey(n.Gateway, n.Namespace, ids)]; c != nil {
		return c, nil
	}
	kind := "sidecar"
	if n.Gateway {
		kind = "router"
	}
	var near *Class
	best := -1
	for _, c := range b.Classes {
		if c.Gateway != n.Gateway || c.Namespace != n.Namespace {
			continue
		}
		if d := len(difference(ids, c.Selectors)) + len(difference(c.Selectors, ids)); near == nil || d < best {
			near, best = c, d
		}
	}
	e := &Error{Code: CodeNoClass, Message: fmt.Sprintf("no class for the %s %s in namespace %q: the selectors that match it are %s", kind, n.ID, n.Namespace, quoteList(ids))}
	if near == nil {
		e.Message += fmt.Sprintf(", and the bundle has no %s in this namespace", kind)
		e.Help = "add the workload (Deployment, Pod, WorkloadEntry …) to the source and compile again"
		return nil, e
	}
	e.Message += fmt.Sprintf("; the nearest class is %q", near.ID)
	if d := difference(near.Selectors, ids); len(d) > 0 {
		e.Message += ", which also needs " + b.describe(d)
	}
	if d := difference(ids, near.Selectors); len(d) > 0 {
		e.Message += ", which must not match " + b.describe(d)
	}
	e.Help = "the labels of the pod differ from those in the source the bundle was compiled from: add the workload to the source, or correct its labels"
	return nil, e
}

// difference returns what is in a but not in b.
func difference(a, b []string) (out []string) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

func (b *Bundle) describe(ids []string) string {
	var parts []string
	for i := range b.Selectors {
		if slices.Contains(ids, b.Selectors[i].ID) {
			parts = append(parts, b.Selectors[i].String())
		}
	}
	return strings.Join(parts, " and ")
}

// String renders the condition for people.
func (s *Selector) String() string {
	var c string
	switch {
	case len(s.Labels) > 0:
		pairs := make([]string, 0, len(s.Labels))
		for k, v := range s.Labels {
			pairs = append(pairs, k+"="+v)
		}
		slices.Sort(pairs)
		c = "labels " + strings.Join(pairs, ",")
	case s.Address != "":
		c = "address " + s.Address
	case s.Locality != "":
		c = "locality " + s.Locality
	case s.Network != "":
		c = "network " + s.Network
	default:
		return "cluster " + s.Cluster + " (metadata CLUSTER_ID)"
	}
	if s.Namespace != "" {
		c += " in " + s.Namespace
	}
	if s.Cluster != "" {
		c += " of cluster " + s.Cluster
	}
	return c
}

func quoteList(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	return strings.Join(ids, ", ")
}
