package mesh

import (
	"net/netip"

	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/schema"
)

// Mesh is the closed, immutable graph of everything the input declares. All names are resolved, all merges that do not
// depend on who is looking are done. Slices are sorted (age, then name, then namespace), so walking them is deterministic.
type Mesh struct {
	Cluster       string                 // whose proxies the mesh is built for; "" where the input has one cluster
	Config        *meshconfig.MeshConfig // with Istio's defaults filled in
	Networks      *meshconfig.MeshNetworks
	Settings      *schema.Object // the ConfigMap that has them; nil: there is none, and the defaults hold
	RootNamespace string         // istio-system unless MeshConfig says otherwise
	Domain        string         // cluster.local
	TrustDomain   string         // MeshConfig.trustDomain, default cluster.local
	IPv6          bool           // a pod or a Kubernetes service has an IPv6 address
	Namespaces    map[string]*Namespace

	Services         []*Service
	Remote           []*Service // Kubernetes services as the other clusters have them, also those that Services has here
	Workloads        []*Workload
	VirtualServices  []*VirtualService // delegates merged into their roots; delegates themselves are left out
	DestinationRules []*DestinationRule
	Gateways         []*Gateway
	Sidecars         []*Sidecar
	EnvoyFilters     []*EnvoyFilter // ascending priority, the root namespace before others, then age and name
	ProxyConfigs     []*ProxyConfig

	PeerAuthentications    []*PeerAuthentication
	RequestAuthentications []*RequestAuthentication
	AuthorizationPolicies  []*AuthorizationPolicy
	Telemetries            []*Telemetry

	Site *endpoint.Site // what holds for all endpoints of the cluster; without Gateways

	index *index // unexported look-up tables of link and scope
}

// Namespace is a namespace that any object lives in, declared or not.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	Network     string         // label topology.istio.io/network
	Object      *schema.Object // nil when no Namespace object is in the input
}

// Resolution says how the addresses behind a service are found.
type Resolution int

// The resolutions, named after Istio's ServiceEntry.Resolution; Kubernetes services are Static (EDS), or Passthrough
// when headless.
const (
	Static        Resolution = iota // EDS cluster
	Passthrough                     // ORIGINAL_DST cluster: headless services, ServiceEntry NONE
	DNS                             // STRICT_DNS cluster
	DNSRoundRobin                   // LOGICAL_DNS cluster
	DynamicDNS                      // dynamic forward proxy
	Alias                           // Kubernetes ExternalName: resolved by DNS under ExternalName
)

// Service is one host a proxy can call: a Kubernetes Service, or one host of a ServiceEntry.
type Service struct {
	Object       *schema.Object
	Hostname     string // lower case FQDN, may start with "*." for a ServiceEntry
	Namespace    string
	Name         string // object's name
	Kubernetes   bool   // false: ServiceEntry
	Ports        []*Port
	Addresses    []string // virtual IPs or CIDRs, in the order of the object; empty when none
	Resolution   Resolution
	MeshExternal bool       // ServiceEntry location MESH_EXTERNAL, or ExternalName
	Headless     bool       // Kubernetes clusterIP: None
	ExternalName string     // Kubernetes ExternalName target, lower case
	Aliases      []*Service // ExternalName services that lead to this one: their names are domains of this service
	Visibility   Visibility
	Labels       map[string]string // of the object
	Annotations  map[string]string
	Selector     map[string]string // of the Kubernetes Service or ServiceEntry.workloadSelector

	SubjectAltNames     []string // ServiceEntry.subjectAltNames
	ServiceAccounts     []string // SPIFFE identities behind the endpoints, sorted, without aliases
	TrafficDistribution string   // "", "PreferClose" (zone and region), "PreferSameZone", "PreferSameNode"
	InternalLocal       bool     // internalTrafficPolicy: Local
	PublishNotReady     bool
	AllProxied          bool                     // workloads that it selects are templates of the source, and each gets a sidecar: they stand for endpoints to come
	Spec                *networking.ServiceEntry // nil for Kubernetes
	Source              *endpoint.Service        // where the endpoints come from; ports in the order of Ports before a Sidecar cuts them
}

// Port is one port of a service.
type Port struct {
	Number     uint32 // service port
	Name       string
	Protocol   Protocol
	TargetPort uint32 // 0 when named or not given
	TargetName string // named target port
	Endpoints  []*Endpoint
	Index      int // position in the object's list, for positions
}

// Endpoint is one address behind one port of a service, with all that decides whether and how a client uses it.
type Endpoint = endpoint.Endpoint

// The states of an endpoint.
const (
	Healthy   = endpoint.Healthy
	Unhealthy = endpoint.Unhealthy
	Draining  = endpoint.Draining
)

// Workload is a group of proxies with the same pod template, or a VM, as declared by the input.
type Workload struct {
	Object         *schema.Object // a kind of workload (see schema.Pods), WorkloadEntry, WorkloadGroup, or the object whose selector implies it
	Namespace      string
	Name           string
	ServiceAccount string
	Labels         map[string]string // pod labels with the labels that injection adds
	Annotations    map[string]string // pod annotations
	Addresses      []string          // pod or VM addresses known at compile time
	Locality       string            // region/zone/subzone
	Network        string
	Cluster        string
	Injected       bool                    // has or gets a sidecar
	Observed       bool                    // a Pod that a cluster has let in: nothing injects a sidecar any more
	Injection      Injection               // what injection would do with its pods
	KeptOff        *schema.Object          // the injector's configuration that keeps a sidecar off though labels ask for one
	Router         bool                    // is a gateway by its pod template: the proxy is its only container, or the gateway template is injected
	Ports          map[string]uint32       // container ports by name
	Implied        bool                    // no workload object declares it: a selector or an address of the mesh configuration does
	ProxyConfig    *meshconfig.ProxyConfig // all layers merged

	networkView string // MetadataNetworkView as the pod template sets it as a variable of the proxy's container
}

// VirtualService is a VirtualService whose host names, gateways and destinations are fully qualified and whose
// delegates are merged in. Spec is a private copy.
type VirtualService struct {
	Object     *schema.Object
	Spec       *networking.VirtualService
	Visibility Visibility
	HTTP       []RouteOrigin // parallel to Spec.Http
}

// RouteOrigin is the place an http route was written at: Object is the VirtualService or its delegate.
type RouteOrigin struct {
	Object *schema.Object
	Index  int   // of the http block in Object
	Match  []int // per entry of the merged match list, the match index in Object; nil: the same order
}

// DestinationRule is one rule, or several for the same host merged. Spec is a private copy.
type DestinationRule struct {
	Object     *schema.Object // first of Objects
	Objects    []*schema.Object
	Spec       *networking.DestinationRule
	Visibility Visibility
	Subsets    []SubsetOrigin // parallel to Spec.Subsets
}

// SubsetOrigin is the place a subset was written at.
type SubsetOrigin struct {
	Object *schema.Object
	Index  int
}

// Gateway is a Gateway object.
type Gateway struct {
	Object *schema.Object
	Spec   *networking.Gateway
}

// Sidecar is a Sidecar object with resolved hosts.
type Sidecar struct {
	Object *schema.Object
	Spec   *networking.Sidecar
}

// EnvoyFilter is an EnvoyFilter object.
type EnvoyFilter struct {
	Object *schema.Object
	Spec   *networking.EnvoyFilter
}

// PeerAuthentication is a PeerAuthentication object.
type PeerAuthentication struct {
	Object *schema.Object
	Spec   *security.PeerAuthentication
}

// RequestAuthentication is a RequestAuthentication object.
type RequestAuthentication struct {
	Object *schema.Object
	Spec   *security.RequestAuthentication
}

// AuthorizationPolicy is an AuthorizationPolicy object. DryRun comes from the annotation istio.io/dry-run.
type AuthorizationPolicy struct {
	Object *schema.Object
	Spec   *security.AuthorizationPolicy
	DryRun bool
}

// Telemetry is a Telemetry object.
type Telemetry struct {
	Object *schema.Object
	Spec   *telemetry.Telemetry
}

// Visibility is a resolved exportTo: who may see an object.
type Visibility struct {
	Public     bool            // "*"
	Namespaces map[string]bool // namespaces, "." resolved; empty and not Public: nobody ("~")
}

// In tells whether a namespace sees the object.
func (v Visibility) In(namespace string) bool { return v.Public || v.Namespaces[namespace] }

// MTLSMode is the mode in effect for a workload port.
type MTLSMode int

// The modes of PeerAuthentication; there is no UNSET after inheritance.
const (
	Permissive MTLSMode = iota
	Strict
	Disable
)

// Class is a group of proxies that receive the same configuration: the same kind of proxy, namespace and set of
// selectors that match. Workload represents them all.
type Class struct {
	ID        string // stable name, from the namespace, kind of proxy and the workloads in it
	Gateway   bool   // router; false: sidecar
	Workloads []*Workload
	Selectors []string // signature: ids of the selectors that match (see Selector)
	Scope     *Scope
	Inbound   *Inbound
	Servers   []*MergedServer // gateways only: see gateway merging
}

// Workload returns the first workload of the class, which represents it.
func (c *Class) Workload() *Workload { return c.Workloads[0] }

// Scope is what the proxies of one or more classes see on their outbound side. Everything in it is resolved for them:
// visibility, Sidecar, precedence of DestinationRules. It is immutable and shared.
type Scope struct {
	Mesh      *Mesh
	Gateway   bool
	Namespace string
	Sidecar   *Sidecar          // nil: the built-in default, all that is visible
	Labels    map[string]string // those that routes, rules or failover ask for
	Network   string
	Locality  string // region/zone/subzone, "" where it makes no difference
	Cluster   string
	Proxy     *meshconfig.ProxyConfig
	Listeners []*EgressListener // in order; the catch-all listener (Spec nil or without port) is last
	Services  []*Service        // union over Listeners, one per hostname, sorted by hostname: these get clusters
	Outbound  OutboundPolicy

	EnvoyFilters []*EnvoyFilter // that apply, in their order
	Telemetries  []*Telemetry   // mesh, namespace, workload, in this order

	view *View
}

// OutboundPolicy is the outboundTrafficPolicy in effect.
type OutboundPolicy struct {
	RegistryOnly bool
	EgressProxy  EgressProxy // zero unless a Sidecar sets it
}

// EgressProxy is where a Sidecar sends what no service takes.
type EgressProxy struct {
	Host, Subset string // the host is resolved
	Port         uint32
}

// EgressListener is one Sidecar egress listener, or the built-in catch-all.
type EgressListener struct {
	Index           int                             // in the Sidecar; -1 for the built-in one
	Spec            *networking.IstioEgressListener // nil for the built-in one
	Services        []*Service                      // visible through it; with a port in Spec, only services that have the port, cut to it
	VirtualServices []*VirtualService               // bound to "mesh" and imported through it, in precedence order: the first for a host wins
}

// Inbound is what the proxies of one class do with requests that arrive.
type Inbound struct {
	Mesh                   *Mesh
	Gateway                bool
	Namespace              string
	Cluster                string
	Proxy                  *meshconfig.ProxyConfig
	IPv4, IPv6             bool   // families of the proxies' addresses; neither where they are not known
	Address                string // of the one instance there is, where the Sidecar hands requests to the instance's address
	Targets                []Target
	Sidecar                *Sidecar // selects the workload and may have ingress listeners; nil: none, or a gateway
	MTLS                   MTLSMode // of the workload
	PortMTLS               map[uint32]MTLSMode
	MTLSOrigins            []*schema.Object         // PeerAuthentications that decided
	AuthorizationPolicies  []*AuthorizationPolicy   // that apply, root namespace first, then by age
	RequestAuthentications []*RequestAuthentication // that apply, root namespace last, then by age
	Telemetries            []*Telemetry             // mesh, namespace, workload, in this order
	EnvoyFilters           []*EnvoyFilter
}

// ModeFor returns the mTLS mode in effect on a workload port.
func (in *Inbound) ModeFor(port uint32) MTLSMode {
	if m, ok := in.PortMTLS[port]; ok {
		return m
	}
	return in.MTLS
}

// Target is one workload port that a service sends requests to.
type Target struct {
	Service    *Service
	Port       *Port
	TargetPort uint32 // port on the workload
}

// MergedServer is one listener port of a gateway, with all servers of all Gateways that share it.
type MergedServer struct {
	Bind    string           // address, "" for the wildcard
	Port    uint32           // the port to listen on, after translation through the gateway's Service
	Servers []*GatewayServer // in order of precedence; conflicts are already removed and reported
}

// GatewayServer is one server of a Gateway.
type GatewayServer struct {
	Gateway         *Gateway
	Index           int // in Gateway.Spec.Servers
	Spec            *networking.Server
	Hosts           []string          // as written, without namespace collapsing; see HostNamespaces
	RouteName       string            // RDS name, "" for TLS passthrough and TCP
	VirtualServices []*VirtualService // that bind to this server (gateway named, hosts intersect, visible, namespace admitted), by age
}

// Prefix is a parsed address or CIDR of a service.
func Prefix(address string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(address); err == nil {
		return p.Masked(), true
	}
	if a, err := netip.ParseAddr(address); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}
