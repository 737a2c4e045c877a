package xds

// Group is a list of resources, one of each type and name. Scopes that share it hold the same pointer.
type Group struct {
	Resources []*Resource
}

// NewGroup makes a group; of several resources with one type and name the first stays, as in istiod.
func NewGroup(rs []*Resource) *Group {
	type key struct {
		t    Type
		name string
	}
	seen := make(map[key]bool, len(rs))
	g := &Group{Resources: make([]*Resource, 0, len(rs))}
	for _, r := range rs {
		if k := (key{r.Type, r.Name}); !seen[k] {
			seen[k] = true
			g.Resources = append(g.Resources, r)
		}
	}
	return g
}
