package names

import (
	"cmp"
	"encoding/json"
	"fmt"
)

// Part is a part of an xDS resource; the zero value is all of it.
type Part struct {
	Kind  PartKind
	Index int32  // of a route
	Name  string // of a filter chain, of a policy in an RBAC filter, of a provider of jwt_authn
}

// PartKind tells what a Part is part of.
type PartKind uint8

// The parts of resources that come from places of their own in the input.
const (
	Whole    PartKind = iota
	Route             // of a VirtualHost, by index
	Chain             // of a Listener, by name
	Rule              // of an RBAC filter, by the name of the policy
	Provider          // of a jwt_authn filter, by name
)

var partKinds = [...]string{Whole: "", Route: "route", Chain: "chain", Rule: "rule", Provider: "provider"}

// RoutePart is the i-th route of a virtual host.
func RoutePart(i int) Part { return Part{Kind: Route, Index: int32(i)} }

// ChainPart is a filter chain of a listener.
func ChainPart(name string) Part { return Part{Kind: Chain, Name: name} }

// RulePart is a policy in an RBAC filter of a listener.
func RulePart(name string) Part { return Part{Kind: Rule, Name: name} }

// ProviderPart is a provider of a jwt_authn filter of a listener.
func ProviderPart(name string) Part { return Part{Kind: Provider, Name: name} }

// ComparePart orders parts by kind, name and index.
func ComparePart(a, b Part) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Index, b.Index))
}

// String is the kind as it is written.
func (k PartKind) String() string {
	if int(k) < len(partKinds) {
		return partKinds[k]
	}
	return fmt.Sprintf("PartKind(%d)", uint8(k))
}

// MarshalJSON writes {"part":"route","index":3} or {"part":"chain","name":"NAME"}.
func (p Part) MarshalJSON() ([]byte, error) {
	if p.Kind == Route {
		return json.Marshal(struct {
			Part  string `json:"part"`
			Index int32  `json:"index"`
		}{p.Kind.String(), p.Index})
	}
	return json.Marshal(struct {
		Part string `json:"part"`
		Name string `json:"name"`
	}{p.Kind.String(), p.Name})
}

// UnmarshalJSON reads what MarshalJSON writes. Parts of an unknown kind are refused.
func (p *Part) UnmarshalJSON(b []byte) error {
	var in struct {
		Part  string `json:"part"`
		Name  string `json:"name"`
		Index int32  `json:"index"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	for k, text := range partKinds {
		if k > int(Whole) && text == in.Part {
			*p = Part{Kind: PartKind(k), Name: in.Name, Index: in.Index}
			return nil
		}
	}
	return fmt.Errorf("%q is no part of a resource", in.Part)
}
