package mesh

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/memo"
	"github.com/meshc/meshc/schema"
)

// facts is everything that the configuration of a proxy depends on, besides the mesh: a scope and what a class has to itself
// are made of it and of nothing else. It is comparable, so that the members of a class can be held against each other:
// selectors are meant to tell apart all proxies that need different configuration, and where they do not, the facts differ.
// The tags name the fields to people.
type facts struct {
	scope          scopeInputs
	targets        memo.List[Target]                 `is:"the ports that services send requests to"`
	mtls           MTLSMode                          `is:"mutual TLS"`
	ports          memo.List[portMode]               `is:"mutual TLS"`
	origins        memo.List[*schema.Object]         `is:"mutual TLS"`
	authorizations memo.List[*AuthorizationPolicy]   `is:"AuthorizationPolicies"`
	tokens         memo.List[*RequestAuthentication] `is:"RequestAuthentications"`
	gateways       memo.List[*Gateway]               `is:"Gateways"`
	families       families                          `is:"the IP families"`
	address        string                            `is:"the address"` // of the one instance, where a Sidecar hands requests to it
}

// scopeInputs is the part of it that the outbound side depends on.
type scopeInputs struct {
	gateway     bool
	namespace   string
	sidecar     *Sidecar                `is:"the Sidecar"`
	network     string                  `is:"the network"`
	locality    string                  `is:"the locality"` // "" where it makes no difference
	cluster     string                  `is:"the cluster"`
	proxy       *meshconfig.ProxyConfig `is:"the ProxyConfig"`
	labels      memo.List[label]        `is:"labels that routes, rules or failover look at"` // those alone
	telemetries memo.List[*Telemetry]   `is:"Telemetries"`
	filters     memo.List[*EnvoyFilter] `is:"EnvoyFilters"`
}

// families are the IP families of a workload, none where its addresses are not known.
type families struct{ v4, v6 bool }

type portMode struct {
	port uint32
	mode MTLSMode
}

// attachedObjects is what is attached to workloads by their labels and namespace.
type attachedObjects struct {
	sidecar        *Sidecar
	peers          *peerModes
	telemetries    memo.List[*Telemetry]
	filters        memo.List[*EnvoyFilter]
	authorizations memo.List[*AuthorizationPolicy]
	tokens         memo.List[*RequestAuthentication]
	asked          memo.List[label]
}

// attachedTo is the labels that workloads of a namespace have.
type attachedTo struct {
	namespace string
	labels    memo.List[label]
}

// factTable works out the facts of workloads. What depends on labels is worked out once for all workloads with the same.
type factTable struct {
	mesh      *Mesh
	questions labelQuestions
	locality  string // of all endpoints
	local     bool   // proxies in different localities differ
	attached  *memo.Table[attachedTo, *attachedObjects]

	labels         memo.Lists[label]
	targets        memo.Lists[Target]
	ports          memo.Lists[portMode]
	origins        memo.Lists[*schema.Object]
	authorizations memo.Lists[*AuthorizationPolicy]
	tokens         memo.Lists[*RequestAuthentication]
	gateways       memo.Lists[*Gateway]
	telemetries    memo.Lists[*Telemetry]
	filters        memo.Lists[*EnvoyFilter]
}

func newFactTable(m *Mesh) *factTable {
	t := &factTable{mesh: m, questions: m.labelQuestions()}
	t.local, t.locality = m.localitySensitive()
	t.attached = memo.Plain(t.attachedTo)
	return t
}

func (t *factTable) attachedTo(to attachedTo) *attachedObjects {
	labels := labelMap(to.labels)
	m, ns := t.mesh, to.namespace
	return &attachedObjects{
		sidecar: m.sidecarFor(ns, labels), peers: m.peerMode(ns, labels),
		telemetries: t.telemetries.Of(m.telemetriesFor(ns, labels)...), filters: t.filters.Of(m.index.filters().For(ns, labels)...),
		authorizations: t.authorizations.Of(m.authorizationsFor(ns, labels)...), tokens: t.tokens.Of(m.tokensFor(ns, labels)...),
		asked: t.labels.Of(t.questions.of(ns, labels)...),
	}
}

// of works out the facts of a workload as a gateway or a sidecar.
func (t *factTable) of(w *Workload, gateway bool) facts {
	a := t.attached.Get(attachedTo{w.Namespace, t.labels.Of(sortedLabels(w.Labels)...)})
	f := facts{
		scope: scopeInputs{gateway: gateway, namespace: w.Namespace, network: w.Network, locality: t.locality, cluster: w.Cluster, proxy: w.ProxyConfig,
			labels: a.asked, telemetries: a.telemetries, filters: a.filters},
		mtls: a.peers.mode, authorizations: a.authorizations, tokens: a.tokens, families: familiesOf(w.Addresses),
	}
	if t.local {
		f.scope.locality = w.Locality
	}
	f.origins = t.origins.Of(a.peers.origins...)
	var ports []portMode
	for _, p := range slices.Sorted(maps.Keys(a.peers.ports)) {
		ports = append(ports, portMode{p, a.peers.ports[p]})
	}
	f.ports = t.ports.Of(ports...)
	targets := t.mesh.targetsOf(w)
	f.targets = t.targets.Of(slices.Clone(targets)...)
	if gateway {
		f.gateways = t.gateways.Of(t.mesh.gatewaysOf(w.Labels, targets)...)
		return f
	}
	f.scope.sidecar = a.sidecar
	if instanceBound(a.sidecar) && len(w.Addresses) == 1 {
		f.address = w.Addresses[0]
	}
	return f
}

func familiesOf(addresses []string) (f families) {
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err == nil {
			f.v4, f.v6 = f.v4 || ip.Is4(), f.v6 || ip.Is6()
		}
	}
	return f
}

// label is one label of a workload.
type label struct{ key, value string }

func sortedLabels(labels map[string]string) []label {
	out := make([]label, 0, len(labels))
	for k, v := range labels {
		out = append(out, label{k, v})
	}
	slices.SortFunc(out, func(a, b label) int { return cmp.Compare(a.key, b.key) })
	return out
}

func labelMap(list memo.List[label]) map[string]string {
	out := make(map[string]string, len(list.All()))
	for _, l := range list.All() {
		out[l.key] = l.value
	}
	return out
}

// labelQuestions is what the outbound side asks about the labels of its proxies.
type labelQuestions struct {
	selectors []labelQuestion // whether they have all of these
	keys      []string        // which value they have
}

type labelQuestion struct {
	namespace string // "": any
	labels    map[string]string
}

// labelQuestions gathers sourceLabels of VirtualServices, workloadSelectors of DestinationRules, and the labels by which
// endpoints fail over.
func (m *Mesh) labelQuestions() labelQuestions {
	q := labelQuestions{keys: m.failoverLabels()}
	for _, labels := range m.sourceLabels() {
		q.selectors = append(q.selectors, labelQuestion{"", labels})
	}
	for _, r := range m.DestinationRules {
		if a, _ := attach.With(r.Object, r.Spec); len(a.Labels) > 0 {
			q.selectors = append(q.selectors, labelQuestion{a.Namespace(m.RootNamespace), a.Labels})
		}
	}
	return q
}

// of returns as many of the labels of proxies in a namespace as the answers need. Where failover looks at labels, a proxy
// that has some keeps one at least: without any it would take part in nothing.
func (q labelQuestions) of(namespace string, labels map[string]string) []label {
	out := map[string]string{}
	for _, s := range q.selectors {
		if (s.namespace == "" || s.namespace == namespace) && endpoint.Subset(s.labels, labels) {
			maps.Copy(out, s.labels)
		}
	}
	for _, k := range q.keys {
		if v, ok := labels[k]; ok {
			out[k] = v
		}
	}
	if len(q.keys) > 0 && len(out) == 0 && len(labels) > 0 {
		return sortedLabels(labels)[:1]
	}
	return sortedLabels(out)
}
