package patch

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

// Codes of EnvoyFilters.
const (
	codePatchValue   = "MESHC1480"
	codePatchFailed  = "MESHC1481"
	codeShape        = "IST0106" // what Istio's webhook refuses
	codePatchUnused  = "MESHC1482"
	codePatchRefused = "MESHC1483"
	// CodePatchInvalid is for what Envoy would refuse because of a patch.
	CodePatchInvalid = "MESHC1490"
)

// removedType is a type of Envoy's API before v3.
var removedType = regexp.MustCompile(`"@type"\s*:\s*"type\.googleapis\.com/envoy\.(api\.v2|[a-z0-9_.]+\.v2(alpha[0-9]*)?|[a-z0-9_.]+\.v1)\.[A-Za-z]`)

// istioVersion is the Istio API that meshc implements: what proxyVersion of a patch is matched against, since proxies run
// stock Envoy and have no Istio version of their own.
const istioVersion = "1.32.0"

type (
	applyTo      = networking.EnvoyFilter_ApplyTo
	patchOp      = networking.EnvoyFilter_Patch_Operation
	patchContext = networking.EnvoyFilter_PatchContext
)

// envoyPatch is one entry of configPatches with its value decoded.
type envoyPatch struct {
	filter *mesh.EnvoyFilter
	index  int
	spec   *networking.EnvoyFilter_EnvoyConfigObjectPatch
	value  proto.Message // nil for REMOVE
}

func (p *envoyPatch) op() patchOp { return p.spec.GetPatch().GetOperation() }

func (p *envoyPatch) finding(sev diag.Severity, code, message, help string, path ...any) diag.Diagnostic {
	return p.filter.Object.Finding(sev, code, message, help, append([]any{"spec", "configPatches", p.index}, path...)...)
}

func (p *envoyPatch) origins() []xds.Origin {
	return xds.OriginAt(p.filter.Object, "spec", "configPatches", p.index)
}

// Table holds the patches of all EnvoyFilters, decoded once, and which of them were of use.
type Table struct {
	byFilter map[*mesh.EnvoyFilter][]*envoyPatch
	chosen   *memo.Table[Target, map[applyTo][]*envoyPatch]
	groups   *memo.Table[groupPatchInputs, *xds.Group]
	hosts    *memo.Table[hostPatchInputs, []*xds.Resource] // virtual hosts that many scopes share

	filters  memo.Lists[*mesh.EnvoyFilter]
	metadata memo.Lists[Metadatum]

	mu      sync.Mutex
	used    map[*envoyPatch]bool
	removed map[string]*envoyPatch // by name of a cluster: the first patch that removes it
}

// Read decodes the patches of a mesh.
func Read(filters []*mesh.EnvoyFilter) (*Table, diag.List) {
	t := &Table{byFilter: map[*mesh.EnvoyFilter][]*envoyPatch{}, used: map[*envoyPatch]bool{}, removed: map[string]*envoyPatch{}}
	t.chosen, t.groups, t.hosts = memo.New(t.choose), memo.New(t.patchGroup), memo.New(t.host)
	var findings diag.List
	pass := validate.New().Pass()
	for _, f := range filters {
		if len(f.Spec.GetTargetRefs()) > 0 {
			findings.Add(f.Object.Finding(diag.Error, codePatchRefused, "targetRefs attach an EnvoyFilter to gateways of the Gateway API and to waypoints, which are not compiled", "Select the proxies by workloadSelector.", "spec", "targetRefs"))
			continue
		}
		for i, spec := range f.Spec.GetConfigPatches() {
			p := &envoyPatch{filter: f, index: i, spec: spec}
			d, ok := p.decode()
			findings.Add(d...)
			if !ok {
				continue
			}
			if d := p.refusals(pass); len(d) > 0 {
				findings.Add(d...)
				t.mu.Lock()
				t.used[p] = true // what it would match need not be said
				t.mu.Unlock()
				continue
			}
			t.byFilter[f] = append(t.byFilter[f], p)
		}
	}
	return t, findings
}

// patchMessage is the Envoy message that a patch of a kind edits; nil where there is none in a bundle.
func patchMessage(a applyTo) proto.Message {
	switch a {
	case networking.EnvoyFilter_CLUSTER:
		return &clusterv3.Cluster{}
	case networking.EnvoyFilter_LISTENER:
		return &listenerv3.Listener{}
	case networking.EnvoyFilter_FILTER_CHAIN:
		return &listenerv3.FilterChain{}
	case networking.EnvoyFilter_NETWORK_FILTER:
		return &listenerv3.Filter{}
	case networking.EnvoyFilter_LISTENER_FILTER:
		return &listenerv3.ListenerFilter{}
	case networking.EnvoyFilter_HTTP_FILTER:
		return &hcmv3.HttpFilter{}
	case networking.EnvoyFilter_ROUTE_CONFIGURATION:
		return &routev3.RouteConfiguration{}
	case networking.EnvoyFilter_VIRTUAL_HOST:
		return &routev3.VirtualHost{}
	case networking.EnvoyFilter_HTTP_ROUTE:
		return &routev3.Route{}
	case networking.EnvoyFilter_EXTENSION_CONFIG:
		return &corev3.TypedExtensionConfig{}
	default: // BOOTSTRAP, which no server hands out
		return nil
	}
}

// decode reads the value strictly: a field that the message lacks is a finding, not left out. The patch is of use if it
// could be read, if need be without the unknown fields, as Istio takes it.
func (p *envoyPatch) decode() (diag.List, bool) {
	a := p.spec.GetApplyTo()
	p.value = patchMessage(a)
	switch {
	case p.value == nil:
		return diag.List{p.finding(diag.Error, codePatchRefused, "a patch of "+a.String()+" cannot be applied: the bootstrap of a proxy is not part of a bundle", "Put the settings into the file that starts Envoy.", "applyTo")}, false
	case a == networking.EnvoyFilter_EXTENSION_CONFIG && p.op() != networking.EnvoyFilter_Patch_ADD:
		return diag.List{p.finding(diag.Error, codePatchRefused, "an EXTENSION_CONFIG can be added only: a bundle holds it inside the filter that names it", "Change the patch that adds it.", "patch", "operation")}, false
	case p.spec.GetMatch().GetContext() == networking.EnvoyFilter_WAYPOINT:
		return diag.List{p.finding(diag.Error, codePatchRefused, "the context WAYPOINT belongs to ambient mode, which needs proxies that are not stock Envoy", "Remove the patch, or name a sidecar or gateway context.", "match", "context")}, false
	case p.op() == networking.EnvoyFilter_Patch_REMOVE:
		p.value = nil
		return nil, true
	}
	text, err := protojson.Marshal(p.spec.GetPatch().GetValue())
	if err == nil {
		err = protojson.Unmarshal(text, p.value)
	}
	if err == nil {
		return nil, true
	}
	name := string(p.value.ProtoReflect().Descriptor().FullName())
	code, help := codePatchValue, "Compare it with the reference of "+name+"; a type in @type must be one that stock Envoy has."
	if removedType.Match(text) {
		code, help = codeShape, "Write the type of the API v3 of Envoy: what Envoy had as v2 it has no more, and Istio's webhook refuses it."
	}
	findings := diag.List{p.finding(diag.Error, code, "the value is no "+name+": "+plainProtoError(err), help, "patch", "value")}
	p.value = patchMessage(a)
	if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, p.value) != nil {
		return findings, false
	}
	return findings, true
}

// refusals says what Envoy would refuse in a value that is put in as it stands. What is merged is judged with what it is
// merged into.
func (p *envoyPatch) refusals(pass *validate.Pass) diag.List {
	if p.value == nil || !adds(p.op()) && p.op() != opReplace {
		return nil
	}
	var findings diag.List
	for _, x := range pass.Check(p.value).Problems {
		help := x.Help
		if help == "" {
			help = "Correct the value."
		}
		findings.Add(p.finding(diag.Error, CodePatchInvalid, "Envoy would refuse the value: "+x.String(), help, "patch", "value"))
	}
	return findings
}

var protoPlace = regexp.MustCompile(`^proto:\s*(\(line \d+:\d+\):\s*)?`)

// plainProtoError takes from an error what changes from build to build or speaks of text that the user has not written.
func plainProtoError(err error) string {
	return protoPlace.ReplaceAllString(strings.ReplaceAll(err.Error(), "\u00a0", " "), "")
}

// Findings are those of what proxies share, and the patches that changed nothing in any proxy.
func (t *Table) Findings() diag.List {
	findings := slices.Concat(t.chosen.Findings(), t.groups.Findings(), t.hosts.Findings())
	for _, patches := range t.byFilter {
		for _, p := range patches {
			if !t.used[p] {
				findings.Add(p.unused())
			}
		}
	}
	return findings
}

// unused says that a patch matches nothing.
func (p *envoyPatch) unused() diag.Diagnostic {
	message, help := "the patch matches nothing in any proxy of the input", "Compare the match with the names that `meshc bundle xds` shows."
	for i, n := range formerNames(p.spec.GetMatch()) {
		if i == 0 {
			help = "Write the name that the filter has had since Envoy 1.14."
		}
		message += "; the filter " + n[0] + " is " + n[1] + " now"
	}
	return p.finding(diag.Warning, codePatchUnused, message, help, "match")
}

func (t *Table) use(p *envoyPatch) {
	t.mu.Lock()
	t.used[p] = true
	t.mu.Unlock()
}

// removes notes that a patch removes a cluster.
func (t *Table) removes(cluster string, e *envoyPatch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.removed[cluster]; old == nil || e.before(old) {
		t.removed[cluster] = e
	}
}

// Removed returns the clusters that patches removed from some proxy, by name.
func (t *Table) Removed() map[string][]xds.Origin {
	out := make(map[string][]xds.Origin, len(t.removed))
	for name, e := range t.removed {
		out[name] = e.origins()
	}
	return out
}

// before orders patches by their place in the source.
func (p *envoyPatch) before(o *envoyPatch) bool {
	a, b := p.filter.Object, o.filter.Object
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(p.index, o.index)) < 0
}

// patcher edits resources of one target.
type patcher struct {
	Target
	table    *Table
	patches  map[applyTo][]*envoyPatch
	room     Additions
	findings diag.List

	own     bool                             // the resources are not shared with other targets
	inbound *mesh.Inbound                    // whose services stand behind inbound clusters
	servers map[string][]*mesh.GatewayServer // by route configuration
}

func (t *Table) patcher(target Target) *patcher {
	return &patcher{Target: target, table: t, patches: t.chosen.Get(target)}
}

// choose picks the patches for a target, in the order the mesh gives the filters and each filter its patches.
func (t *Table) choose(target Target) (map[applyTo][]*envoyPatch, diag.List) {
	out := map[applyTo][]*envoyPatch{}
	var findings diag.List
	for _, f := range target.filters.All() {
		for _, e := range t.byFilter[f] {
			ok, found := target.takes(e)
			findings.Add(found...)
			if ok {
				a := e.spec.GetApplyTo()
				out[a] = append(out[a], e)
			}
		}
	}
	return out, findings
}

// patch applies the patches to resources, after everything else. Resources are shared between targets, so what is changed
// is copied first.
func (p *patcher) patch(rs []*xds.Resource) ([]*xds.Resource, diag.List) {
	if len(p.patches) == 0 {
		return rs, nil
	}
	rs = p.patchClusters(rs)
	rs = p.patchListeners(rs)
	rs = p.patchRoutes(rs)
	return rs, p.findings
}

// takes tells whether the patch is for the context and the proxies of the target.
func (t Target) takes(e *envoyPatch) (bool, diag.List) {
	m := e.spec.GetMatch()
	if c := m.GetContext(); c != networking.EnvoyFilter_ANY && c != t.context {
		return false, nil
	}
	if v := m.GetProxy().GetProxyVersion(); v != "" {
		re, err := regexp.Compile(v)
		if err != nil || !re.MatchString(istioVersion) {
			return false, nil
		}
	}
	want := m.GetProxy().GetMetadata()
	for _, have := range t.metadata.All() { // in order: what is found must not depend on chance
		v, asked := want[have.Key]
		switch {
		case !asked:
		case !have.Known:
			return false, diag.List{e.finding(diag.Error, codePatchRefused, "whether a proxy has the metadata "+have.Key+" is not known when compiling",
				"Match by workloadSelector, or set the metadata by ISTIO_META_"+have.Key+" in proxyMetadata.", "match", "proxy", "metadata")}
		case have.Value != v:
			return false, nil
		}
	}
	return true, nil
}

// hit records that a patch changed a resource.
func (p *patcher) hit(e *envoyPatch, r *xds.Resource) {
	p.table.use(e)
	if r != nil {
		r.Origins = append(slices.Clip(r.Origins), e.origins()...)
	}
}

func (p *patcher) fail(e *envoyPatch, what string, err error) {
	p.table.use(e)
	p.findings.Add(e.finding(diag.Error, codePatchFailed, "the patch cannot be applied to "+what+": "+plainProtoError(err), "Match what the value fits, or correct the type in its @type.", "patch"))
}

// mutable copies a resource so that it can be changed.
func mutable(r *xds.Resource) *xds.Resource {
	c := *r
	c.Message, c.Before = proto.Clone(r.Message), r
	return &c
}
