package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Selector is one thing about a proxy that the configuration may depend on: labels it has (in a namespace, or in any
// when Namespace is ""), an address, a locality, a network, or the cluster alone. A proxy belongs to the class whose set of matching
// selectors is exactly its own.
type Selector struct {
	ID        string
	Cluster   string // only proxies of this cluster; "": any
	Namespace string
	Labels    map[string]string
	Address   string
	Locality  string
	Network   string
}

// selectorSet collects the distinct selectors of the mesh and matches workloads against them.
type selectorSet struct {
	cluster    string
	all        map[string]*Selector
	byLabels   selecting[*Selector]
	addresses  map[string]*Selector
	localities map[string]*Selector
	networks   map[string]*Selector
}

func labelKey(labels map[string]string) string {
	var b strings.Builder
	for i, k := range sortedKeys(labels) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k + "=" + labels[k])
	}
	return b.String()
}

// prefix keeps the selectors of several clusters apart.
func (s *selectorSet) prefix() string {
	if s.cluster == "" {
		return ""
	}
	return s.cluster + ":"
}

func (s *selectorSet) labels(namespace string, labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	id := s.prefix() + namespace + "/" + labelKey(labels)
	if s.all[id] == nil {
		x := &Selector{ID: id, Cluster: s.cluster, Namespace: namespace, Labels: labels}
		s.all[id] = x
		s.byLabels.add(namespace, labels, x)
	}
}

func (s *selectorSet) address(namespace, address string) {
	id := s.prefix() + namespace + "/address/" + address
	if s.all[id] == nil {
		x := &Selector{ID: id, Cluster: s.cluster, Namespace: namespace, Address: address}
		s.all[id], s.addresses[namespace+"/"+address] = x, x
	}
}

func (s *selectorSet) match(w *Workload) []string {
	var out []string
	for _, ns := range [2]string{w.Namespace, ""} {
		for _, x := range s.byLabels.matching(ns, w.Labels) {
			out = append(out, x.ID)
		}
	}
	for _, a := range w.Addresses {
		if x := s.addresses[w.Namespace+"/"+a]; x != nil {
			out = append(out, x.ID)
		}
	}
	for l, x := range s.localities {
		if w.Locality == l || strings.HasPrefix(w.Locality, l+"/") {
			out = append(out, x.ID)
		}
	}
	if x := s.networks[w.Network]; x != nil && w.Network != "" {
		out = append(out, x.ID)
	}
	if s.cluster != "" {
		out = append(out, clusterSelector+s.cluster)
	}
	slices.Sort(out)
	return out
}

// clusterSelector begins the id of the selector that all proxies of a cluster match.
const clusterSelector = "cluster/"

// scoped returns the namespace a selector reaches: every one for an object of the root namespace.
func (m *Mesh) scoped(o *schema.Object) string {
	if o.Namespace == m.RootNamespace {
		return ""
	}
	return o.Namespace
}

// collectSelectors gathers everything that any object selects proxies by.
func (m *Mesh) collectSelectors() *selectorSet {
	s := &selectorSet{cluster: m.Cluster, all: map[string]*Selector{}, addresses: map[string]*Selector{}, localities: map[string]*Selector{}, networks: map[string]*Selector{}}
	if id := clusterSelector + m.Cluster; m.Cluster != "" {
		s.all[id] = &Selector{ID: id, Cluster: m.Cluster}
	}
	for _, x := range m.Services {
		s.labels(x.Namespace, x.Selector)
	}
	for _, x := range m.Sidecars {
		s.labels(x.Object.Namespace, x.Spec.GetWorkloadSelector().GetLabels())
	}
	for _, x := range m.Gateways {
		s.labels("", x.Spec.Selector)
	}
	for _, x := range m.PeerAuthentications {
		s.labels(x.Object.Namespace, x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.AuthorizationPolicies {
		s.labels(m.scoped(x.Object), x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.RequestAuthentications {
		s.labels(m.scoped(x.Object), x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.EnvoyFilters {
		s.labels(m.scoped(x.Object), x.Spec.GetWorkloadSelector().GetLabels())
	}
	for _, x := range m.Telemetries {
		s.labels(x.Object.Namespace, x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.ProxyConfigs {
		s.labels(x.Object.Namespace, x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.DestinationRules {
		s.labels(x.Object.Namespace, x.Spec.GetWorkloadSelector().GetMatchLabels())
	}
	for _, x := range m.sourceLabels() {
		s.labels("", x)
	}
	for _, w := range m.Workloads {
		if w.Annotations[annotationProxyConfig] != "" || len(w.proxyEnv) > 0 || hasTrafficAnnotations(w.Annotations) {
			s.labels(w.Namespace, withoutHash(w.Labels))
		}
	}
	for _, a := range sortedKeys(m.index.addresses) {
		for _, t := range m.index.addresses[a] {
			s.address(t.service.Namespace, a)
		}
	}
	m.boundAddresses(s)
	if m.localitySensitive() {
		for _, w := range m.Workloads {
			if id := s.prefix() + "locality/" + w.Locality; w.Locality != "" && s.all[id] == nil {
				s.localities[w.Locality] = &Selector{ID: id, Cluster: s.cluster, Locality: w.Locality}
				s.all[id] = s.localities[w.Locality]
			}
		}
	}
	for _, w := range m.Workloads {
		if id := s.prefix() + "network/" + w.Network; w.Network != "" && s.all[id] == nil {
			s.networks[w.Network] = &Selector{ID: id, Cluster: s.cluster, Network: w.Network}
			s.all[id] = s.networks[w.Network]
		}
	}
	return s
}

// hasTrafficAnnotations tells whether pod annotations shape what the pod's proxy does.
func hasTrafficAnnotations(a map[string]string) bool {
	for k := range a {
		if strings.HasPrefix(k, "traffic.sidecar.istio.io/") || k == annotationInterception {
			return true
		}
	}
	return false
}

// localitySensitive tells whether endpoints lie in more than one locality, so that clients of different places differ.
func (m *Mesh) localitySensitive() bool {
	first, seen := "", false
	for _, s := range m.Services {
		for _, p := range s.Ports {
			for _, e := range p.Endpoints {
				if seen && e.Locality != first {
					return true
				}
				first, seen = e.Locality, true
			}
		}
	}
	return false
}

// sourceLabels returns the distinct sourceLabels of all VirtualService matches.
func (m *Mesh) sourceLabels() []map[string]string {
	seen := map[string]map[string]string{}
	add := func(l map[string]string) {
		if len(l) > 0 {
			seen[labelKey(l)] = l
		}
	}
	for _, v := range m.VirtualServices {
		for _, h := range v.Spec.Http {
			for _, x := range h.Match {
				add(x.SourceLabels)
			}
		}
		for _, t := range v.Spec.Tcp {
			for _, x := range t.Match {
				add(x.SourceLabels)
			}
		}
		for _, t := range v.Spec.Tls {
			for _, x := range t.Match {
				add(x.SourceLabels)
			}
		}
	}
	var out []map[string]string
	for _, k := range sortedKeys(seen) {
		out = append(out, seen[k])
	}
	return out
}

// Classes groups all workloads, declared and implied, by what they receive, and settles the scope and the inbound side
// of each group once. Classes and selectors are sorted by id.
func Classes(m *Mesh) ([]*Class, []*Selector, diag.List) {
	var findings diag.List
	selectors := m.collectSelectors()
	scopes := newScopeTable(m)
	byKey := map[string]*Class{}
	for _, w := range append(slices.Clone(m.Workloads), m.impliedWorkloads(selectors)...) {
		if err := m.settleProxyConfig(w); err != nil {
			findings.Add(w.Object.Finding(diag.Error, "MESHC1250", "the annotations of the pod give no ProxyConfig: "+err.Error(), "correct the ProxyConfig", "metadata", "annotations", annotationProxyConfig))
			w.ProxyConfig = m.Config.DefaultConfig
		}
		signature := selectors.match(w)
		gateway := m.servesGateway(w)
		for _, kind := range []bool{true, false} {
			if kind && !gateway || !kind && gateway && !w.Injected && !w.Implied {
				continue
			}
			key := strconv.FormatBool(kind) + "|" + w.Namespace + "|" + strings.Join(signature, ";")
			c := byKey[key]
			if c == nil {
				c = &Class{Gateway: kind, Selectors: signature}
				byKey[key] = c
			}
			c.Workloads = append(c.Workloads, w)
		}
	}
	var out []*Class
	for _, key := range sortedKeys(byKey) {
		c := byKey[key]
		observedFirst(c.Workloads)
		w := c.Workload()
		var sidecar *Sidecar
		if !c.Gateway {
			sidecar = m.sidecarFor(w.Namespace, w.Labels)
		}
		targets := m.targetsOf(w)
		c.Scope = scopes.get(w, c.Gateway, sidecar)
		c.Inbound = m.inboundOf(w, c.Gateway, sidecar, targets)
		if c.Gateway {
			var f diag.List
			c.Servers, f = m.mergeServers(w.Namespace, w.Labels, targets)
			findings.Add(f...)
		}
		out = append(out, c)
	}
	nameClasses(out, m.Cluster)
	var list []*Selector
	for _, k := range sortedKeys(selectors.all) {
		list = append(list, selectors.all[k])
	}
	return out, list, findings
}

// observedFirst puts Pods before the templates they come from: what runs decides where the two disagree.
func observedFirst(list []*Workload) {
	isPod := func(w *Workload) bool { _, ok := w.Object.Spec.(*corev1.Pod); return ok }
	slices.SortStableFunc(list, func(a, b *Workload) int { return boolOrder(isPod(b), isPod(a)) })
}

// declared returns the workload a class is called after: a template before a Pod of it.
func (c *Class) declared() *Workload {
	if i := slices.IndexFunc(c.Workloads, func(w *Workload) bool { return w.Object.Kind != "Pod" }); i >= 0 {
		return c.Workloads[i]
	}
	return c.Workload()
}

// nameClasses gives each class a readable id, unique in the bundle: kind/namespace/workload, and @cluster where the mesh
// has several.
func nameClasses(classes []*Class, cluster string) {
	used := map[string]int{}
	for _, c := range classes {
		kind := "sidecar"
		if c.Gateway {
			kind = "router"
		}
		id := kind + "/" + c.declared().Namespace + "/" + c.declared().Name
		if cluster != "" {
			id += "@" + cluster
		}
		used[id]++
		if n := used[id]; n > 1 {
			id += "." + strconv.Itoa(n)
		}
		c.ID = id
	}
	slices.SortFunc(classes, func(a, b *Class) int { return cmp.Compare(a.ID, b.ID) })
}

// servesGateway tells whether any Gateway selects the workload, or injection makes a gateway of it.
func (m *Mesh) servesGateway(w *Workload) bool {
	if w.Router {
		return true
	}
	return slices.ContainsFunc(m.Gateways, func(g *Gateway) bool {
		if g.Object.Annotations[annotationGatewayService] != "" {
			_, ok := gatewayTargets(g, w.Labels, m.targetsOf(w))
			return ok
		}
		return subset(g.Spec.Selector, w.Labels) && (len(g.Spec.Selector) > 0 || !w.Injected)
	})
}

// impliedWorkloads stands in for workloads that the input does not declare: mesh configuration is often kept apart from
// the Deployments it is about. Each selector that no declared workload of its namespace matches implies one with just
// those labels, each namespace without workloads one without labels, each Gateway without selector one in its namespace,
// each static endpoint address of the mesh one VM.
func (m *Mesh) impliedWorkloads(selectors *selectorSet) []*Workload {
	declared := map[string]bool{} // namespaces
	byLabels := labelled[*Workload]{}
	known := map[string]bool{}
	for _, w := range m.Workloads {
		declared[w.Namespace] = true
		byLabels.add(w.Namespace, w.Labels, w)
		for _, a := range w.Addresses {
			known[a] = true
		}
	}
	var out []*Workload
	byNamespace := map[string][]map[string]string{}
	add := func(namespace string, labels map[string]string, address string) {
		w := &Workload{Object: m.namespaceObject(namespace), Namespace: namespace, Name: "implied", Labels: map[string]string{}, Implied: true, Injected: true, Ports: map[string]uint32{}, ServiceAccount: ""}
		for k, v := range labels {
			w.Labels[k] = v
		}
		if len(labels) > 0 {
			w.Name = "implied:" + labelKey(labels)
		}
		if address != "" {
			w.Addresses = []string{address}
			w.Name += "@" + address
		}
		w.Cluster = m.ClusterName()
		out = append(out, w)
	}
	for _, id := range sortedKeys(selectors.all) {
		x := selectors.all[id]
		if len(x.Labels) == 0 {
			continue
		}
		for _, ns := range m.selectorNamespaces(x) {
			if len(byLabels.matching(ns, x.Labels)) == 0 {
				byNamespace[ns] = append(byNamespace[ns], x.Labels)
				add(ns, x.Labels, "")
			}
		}
	}
	routers := map[string]bool{}
	for _, g := range m.Gateways {
		// Without a selector a Gateway does not say what its proxies look like, only where they may be.
		ns := g.Object.Namespace
		if len(g.Spec.Selector) == 0 && !routers[ns] && !slices.ContainsFunc(m.Workloads, func(w *Workload) bool { return w.Namespace == ns && m.servesGateway(w) }) {
			routers[ns] = true
			add(ns, nil, "")
			w := out[len(out)-1]
			w.Name, w.Router = "implied:router", true
		}
	}
	for _, ns := range sortedKeys(m.Namespaces) {
		if declared[ns] {
			continue
		}
		byNamespace[ns] = append(byNamespace[ns], nil)
		add(ns, nil, "")
		for _, g := range m.Gateways { // a Gateway selects proxies of any namespace
			l := g.Spec.Selector
			if len(l) > 0 && !slices.ContainsFunc(byNamespace[ns], func(have map[string]string) bool { return labelKey(have) == labelKey(l) }) {
				byNamespace[ns] = append(byNamespace[ns], l)
				add(ns, l, "")
			}
		}
	}
	for _, a := range sortedKeys(m.index.addresses) {
		if known[a] {
			continue
		}
		done := map[string]bool{}
		for _, t := range m.index.addresses[a] {
			ns := t.service.Namespace
			if t.service.Kubernetes || done[ns] {
				continue
			}
			done[ns] = true
			for _, e := range t.port.Endpoints {
				if e.Address == a && len(e.Labels) > 0 {
					add(ns, e.Labels, a)
				}
			}
			for _, l := range append(byNamespace[ns], nil) {
				add(ns, l, a)
			}
		}
	}
	return out
}

// boundAddresses adds the addresses of the workloads whose Sidecar hands requests to the instance's own address
// (defaultEndpoint 0.0.0.0:PORT): their inbound clusters differ from pod to pod.
func (m *Mesh) boundAddresses(s *selectorSet) {
	if !slices.ContainsFunc(m.Sidecars, func(x *Sidecar) bool { return instanceBound(x) }) {
		return
	}
	for _, w := range m.Workloads {
		if instanceBound(m.sidecarFor(w.Namespace, w.Labels)) {
			for _, a := range w.Addresses {
				s.address(w.Namespace, a)
			}
		}
	}
}

func instanceBound(s *Sidecar) bool {
	return s != nil && slices.ContainsFunc(s.Spec.Ingress, func(i *networking.IstioIngressListener) bool {
		return strings.HasPrefix(i.DefaultEndpoint, "0.0.0.0:") || strings.HasPrefix(i.DefaultEndpoint, "[::]:")
	})
}

// selectorNamespaces returns where a selector may match: its own namespace, or for a mesh-wide one the namespaces with
// a Service of just these labels, the Gateways' own and the root namespace.
func (m *Mesh) selectorNamespaces(x *Selector) []string {
	if x.Namespace != "" {
		return []string{x.Namespace}
	}
	set := map[string]bool{m.RootNamespace: true}
	for _, s := range m.Services {
		if len(s.Selector) > 0 && subset(s.Selector, x.Labels) {
			set[s.Namespace] = true
		}
	}
	for _, g := range m.Gateways {
		if labelKey(g.Spec.Selector) == labelKey(x.Labels) {
			set[g.Object.Namespace] = true
		}
	}
	return sortedKeys(set)
}

func (m *Mesh) namespaceObject(name string) *schema.Object {
	if ns := m.Namespaces[name]; ns != nil && ns.Object != nil {
		return ns.Object
	}
	if o := m.index.anyObject[name]; o != nil {
		return o
	}
	return m.index.first
}

// scopeTable makes each scope once.
type scopeTable struct {
	mesh      *Mesh
	scopes    map[string]*Scope
	sources   []map[string]string
	rules     []*DestinationRule
	failover  []string
	locality  bool
	selection map[*Sidecar]int
}

func newScopeTable(m *Mesh) *scopeTable {
	t := &scopeTable{mesh: m, scopes: map[string]*Scope{}, sources: m.sourceLabels(), locality: m.localitySensitive(), selection: map[*Sidecar]int{}}
	for i, s := range m.Sidecars {
		t.selection[s] = i + 1
	}
	keys := map[string]bool{}
	for _, r := range m.DestinationRules {
		if r.Spec.WorkloadSelector != nil {
			t.rules = append(t.rules, r)
		}
		forEachPolicy(r.Spec, func(lb *networking.LoadBalancerSettings) {
			for _, p := range lb.GetLocalityLbSetting().GetFailoverPriority() {
				k, _, _ := strings.Cut(p, "=")
				keys[k] = true
			}
		})
	}
	for _, p := range m.Config.GetLocalityLbSetting().GetFailoverPriority() {
		k, _, _ := strings.Cut(p, "=")
		keys[k] = true
	}
	t.failover = sortedKeys(keys)
	return t
}

func forEachPolicy(r *networking.DestinationRule, visit func(*networking.LoadBalancerSettings)) {
	policy := func(p *networking.TrafficPolicy) {
		visit(p.GetLoadBalancer())
		for _, x := range p.GetPortLevelSettings() {
			visit(x.GetLoadBalancer())
		}
	}
	policy(r.TrafficPolicy)
	for _, s := range r.Subsets {
		policy(s.TrafficPolicy)
	}
}

func (t *scopeTable) get(w *Workload, gateway bool, sidecar *Sidecar) *Scope {
	var b strings.Builder
	fmt.Fprintf(&b, "%t|%s|%d|%s|%s|%p", gateway, w.Namespace, t.selection[sidecar], w.Network, w.Cluster, w.ProxyConfig)
	if t.locality {
		b.WriteString("|" + w.Locality)
	}
	for _, l := range t.sources {
		fmt.Fprintf(&b, "|%t", subset(l, w.Labels))
	}
	for _, r := range t.rules {
		fmt.Fprintf(&b, "|%t", r.Object.Namespace == w.Namespace && subset(r.Spec.WorkloadSelector.MatchLabels, w.Labels))
	}
	for _, k := range t.failover {
		b.WriteString("|" + w.Labels[k])
	}
	telemetries := t.mesh.telemetriesFor(w.Namespace, w.Labels)
	for _, x := range telemetries {
		b.WriteString("|" + x.Object.Namespace + "/" + x.Object.Name)
	}
	filters := t.mesh.envoyFiltersFor(w.Namespace, w.Labels)
	for _, x := range filters {
		b.WriteString("|filter " + x.Object.Namespace + "/" + x.Object.Name)
	}
	key := b.String()
	if s := t.scopes[key]; s != nil {
		return s
	}
	s := t.mesh.newScope(w, gateway, sidecar)
	s.Telemetries, s.EnvoyFilters = telemetries, filters
	t.scopes[key] = s
	return s
}
