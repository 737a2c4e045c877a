// Package rest finds what two bundles have otherwise beside the resources and workloads that are compared: the selectors by which proxies get
// their class, the services with their names and addresses, what servers know of endpoints that are to come, and what proxies must be able
// to do. Each is a thing with a name, and says why it makes no difference of its own, if it makes none.
package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
)

// Thing is one thing that two bundles do not have alike.
type Thing struct {
	Name string
	Why  string // it makes no difference of its own; "": it does where no resource for its host is another
	Host string // whose endpoints a server would choose otherwise
}

// Why things make no difference of their own.
const (
	WhySelector = "it chooses which proxies get a class, and what the proxies of each workload get is compared"
	WhyService  = "it says by which names and addresses a service is called, and those of both sides are asked for"
	WhyTrust    = "it is in the identities of workloads, which are compared"
	WhyEnvoy    = "it says which Envoys can take the resources, and not what these do"
	WhyPlan     = "it says how endpoints come to resources that are compared"
)

// Between lists the things that differ, sorted by name.
func Between(base, head *bundle.Bundle) []Thing {
	var out []Thing
	add := func(name, why, host string) { out = append(out, Thing{name, why, host}) }
	for _, id := range differing(base.Selectors, head.Selectors, func(s bundle.Selector) string { return s.ID }) {
		add("selector "+id, WhySelector, "")
	}
	for _, id := range differing(base.Services, head.Services, func(s bundle.Service) string {
		return strings.TrimSpace(s.Cluster + " " + s.Namespace + " " + s.Hostname)
	}) {
		add("service "+id, WhyService, "")
	}
	if base.TrustDomain != head.TrustDomain {
		add("trust domain", WhyTrust, "")
	}
	if base.EnvoyMin != head.EnvoyMin {
		add("Envoy", WhyEnvoy, "")
	}
	out = append(out, plan(base, head)...)
	slices.SortFunc(out, func(a, b Thing) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// planned is a service of a plan.
type planned struct{ namespace, name, hostname string }

// plan lists what servers know otherwise of endpoints that are to come. A service that only one side has comes or goes with its resources.
func plan(base, head *bundle.Bundle) []Thing {
	if base.Plan == nil || head.Plan == nil {
		if base.Plan != head.Plan {
			return []Thing{{Name: "plan of endpoints", Why: WhyPlan}}
		}
		return nil
	}
	var out []Thing
	was := map[planned]string{}
	for _, s := range base.Plan.Services {
		was[planned{s.Namespace, s.Name, s.Hostname}] = chooses(s)
	}
	for _, s := range head.Plan.Services {
		key := planned{s.Namespace, s.Name, s.Hostname}
		if before, ok := was[key]; ok && before != chooses(s) {
			out = append(out, Thing{Name: "endpoints of " + s.Hostname, Host: s.Hostname})
		}
	}
	if text(base.Plan.Site) != text(head.Plan.Site) {
		out = append(out, Thing{Name: "site of endpoints", Why: WhyPlan})
	}
	if text(base.Plan.Clients) != text(head.Plan.Clients) {
		out = append(out, Thing{Name: "clients of endpoints", Why: WhyPlan})
	}
	return out
}

// chooses says which endpoints a service has. Kubernetes gives the ports of its slices the names of the Service's, whatever they are.
func chooses(s *endpoint.Service) string {
	one := *s
	one.Ports = slices.Clone(s.Ports)
	for i := range one.Ports {
		one.Ports[i].Name = ""
	}
	return text(one)
}

// differing lists the ids of what one list has and the other has not, or has otherwise.
func differing[T any](a, b []T, id func(T) string) []string {
	was, is := map[string]string{}, map[string]string{}
	for _, x := range a {
		was[id(x)] += text(x)
	}
	for _, x := range b {
		is[id(x)] += text(x)
	}
	var out []string
	for k, v := range was {
		if is[k] != v {
			out = append(out, k)
		}
	}
	for k := range is {
		if _, ok := was[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// text is the same for equal values.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%v", v)
	}
	return string(b)
}
