// Package inject gives pods their proxy: manifests in, the same manifests with the proxy out.
//
// Who gets one is the mesh's own rule (mesh.Workload.Injection), so that what is injected is what was compiled for. A pod is
// changed as a value and never as text: plain data is read off the YAML tree, the proxy's containers and volumes are built as
// messages of Kubernetes and put into it, what the user says of these containers is merged over them as kubectl patch
// merges, and the tree is then brought to say what the value says (tree.go), which leaves comments and order as they were.
// Documents that do not change keep their bytes, and a pod that has its proxy does not change, so that injecting twice is
// injecting once.
//
// The proxy is a stock Envoy. Of what istio-proxy's agent does at run time, an init container does what can be done before:
// meshc bootstrap writes Envoy's configuration from what the pod is told of itself, meshc intercept installs the rules by
// which connections come to the proxy, and the rest is in the bootstrap, where the proxy answers for the application's probes.
package inject

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Identities that a proxy can have, see docs/identity.md.
const (
	IdentitySPIRE = "spire" // of SPIRE's agent on the node, whose socket a CSI driver mounts
	IdentityFiles = "files" // of files that a CSI driver mounts
	IdentityNone  = "none"  // none: the network is trusted, and the server is asked in plain text
)

// CSI drivers that mount an identity: the socket of SPIRE's agent, or files that cert-manager has issued.
const (
	driverAgent = "csi.spiffe.io"
	driverFiles = "spiffe.csi.cert-manager.io"
)

// Settings are what does not follow from the mesh.
type Settings struct {
	ProxyImage   string // of Envoy
	MeshcImage   string // with meshc
	XDS          string // HOST:PORT of the ADS server; "": the Service meshc of the root namespace
	ServerSPIFFE string // identity of that server; "", without ServerName: that of the service account meshc of the root namespace
	ServerName   string // or its DNS name
	Identity     string // "": spire if the mesh says so, else files
	CSIDriver    string // "": that of SPIRE or of cert-manager
	Everywhere   bool   // namespaces without a label count as enabled
	Classic      bool   // the proxy is a container as others are, not a native sidecar
	CNI          bool   // the node redirects connections, by a plugin of its network
	Templates    map[string]map[string]any
}

// Outcome says what became of one workload, or of another object that has pods.
type Outcome struct {
	Ref    diag.Ref
	Added  bool
	Reason string // why not
}

// Injector injects by one mesh.
type Injector struct {
	mesh      *mesh.Mesh
	settings  Settings
	workloads map[diag.Ref]*mesh.Workload
}

// New returns an injector. What is not set gets its default.
func New(m *mesh.Mesh, s Settings) (*Injector, error) {
	in := &Injector{mesh: m, settings: s, workloads: map[diag.Ref]*mesh.Workload{}}
	for _, w := range m.Workloads {
		if ref := w.Object.Ref(); in.workloads[ref] == nil {
			in.workloads[ref] = w
		}
	}
	return in, in.completeSettings()
}

func (in *Injector) completeSettings() error {
	s, agent := &in.settings, in.mesh.IdentityFromAgent()
	if in.mesh.IdentitySource() == mesh.IdentityFromIstioAgent && s.Identity == "" {
		return fmt.Errorf("the mesh says that identities come from Istio's agent (MESHC_IDENTITY: agent), and the proxy that meshc injects has none beside it: leave injection to Istio, or give it SPIRE's agent by --identity spire")
	}
	s.Identity = cmp.Or(s.Identity, map[bool]string{true: IdentitySPIRE, false: IdentityFiles}[agent])
	switch {
	case !slices.Contains([]string{IdentitySPIRE, IdentityFiles, IdentityNone}, s.Identity):
		return fmt.Errorf("identity %q is none of spire, files and none", s.Identity)
	case agent && s.Identity != IdentitySPIRE:
		return fmt.Errorf("the mesh says that identities come from an agent (MESHC_IDENTITY), so the identity cannot be %s", s.Identity)
	case s.Identity == IdentitySPIRE && !agent:
		return fmt.Errorf("proxies of this mesh do not ask SPIRE's agent: set MESHC_IDENTITY: spire at defaultConfig.proxyMetadata in MeshConfig, and give it to injection too")
	}
	if s.XDS != "" {
		if err := checkAddress(s.XDS); err != nil {
			return fmt.Errorf("the ADS server: %w", err)
		}
	}
	s.CSIDriver = cmp.Or(s.CSIDriver, map[string]string{IdentitySPIRE: driverAgent, IdentityFiles: driverFiles}[s.Identity])
	s.XDS = cmp.Or(s.XDS, fmt.Sprintf("meshc.%s.svc.%s:18000", in.mesh.RootNamespace, in.mesh.Domain))
	if s.Identity != IdentityNone && s.ServerName == "" {
		s.ServerSPIFFE = cmp.Or(s.ServerSPIFFE, fmt.Sprintf("spiffe://%s/ns/%s/sa/meshc", in.mesh.TrustDomain, in.mesh.RootNamespace))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Templates)) {
		if name == "" || strings.Contains(name, ",") || builtin(name) || unsupported(name) != "" {
			return fmt.Errorf("a template of one's own cannot be called %q", name)
		}
	}
	return nil
}

// Object gives an object its proxy, if it is a workload that gets one: value is its plain data, changed is the same with the
// proxy. It is nil where nothing changes. The outcome is nil for what is no workload.
func (in *Injector) Object(o *schema.Object) (changed map[string]any, out *Outcome, findings diag.List) {
	w, tmpl := in.workloads[o.Ref()], o.Pods()
	if w == nil || tmpl == nil {
		return nil, nil, nil
	}
	out = &Outcome{Ref: o.Ref()}
	if reason := in.keptOff(w, tmpl); reason != "" {
		out.Reason = reason
		return nil, out, nil
	}
	p, err := newPod(in, w, o, tmpl)
	if err != nil {
		p.fail("MESHC1250", "the annotations of the pod give no ProxyConfig: "+err.Error(), "correct the ProxyConfig", p.at(mesh.AnnotationProxyConfig)...)
		return nil, out, p.findings
	}
	if out.Reason = p.has(); out.Reason != "" || p.findings.HasErrors() {
		return nil, out, p.findings
	}
	p.inject()
	if p.findings.HasErrors() {
		return nil, out, p.findings
	}
	out.Added = true
	return p.whole, out, p.findings
}

// keptOff says why a pod gets no proxy, "" if it gets one.
func (in *Injector) keptOff(w *mesh.Workload, tmpl *schema.Pods) string {
	decided, by := w.Injection, w.KeptOff
	if decided == mesh.NotAsked && in.settings.Everywhere {
		decided, by = in.mesh.Admit(w.Namespace, "", tmpl)
	}
	switch {
	case w.Observed:
		return "a cluster has let it in, and nothing adds a proxy to a running pod"
	case decided == mesh.Injected:
		return ""
	case decided == mesh.NotAsked && !in.knows(w.Namespace):
		return "nothing asks for a proxy, and the Namespace " + w.Namespace + " is not in the input"
	case decided == mesh.NotAsked:
		return "nothing asks for a proxy"
	case by != nil:
		return "the configuration of the injector in " + by.Ref().String() + " keeps it off"
	case tmpl.Spec.HostNetwork:
		return "it is on the network of the node"
	}
	if word, ok := mesh.InjectionWord(tmpl); ok && word != "true" && word != "false" {
		return fmt.Sprintf("its %s is %q, and only \"true\" asks for a proxy", mesh.LabelInject, word)
	}
	return "its labels, its annotations or its namespace keep a proxy off"
}

// knows tells whether a Namespace is in the input.
func (in *Injector) knows(namespace string) bool {
	n := in.mesh.Namespaces[namespace]
	return n != nil && n.Object != nil
}
