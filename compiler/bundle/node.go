package bundle

import (
	"path"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// Node is what a proxy says about itself, as far as it matters here.
type Node struct {
	ID             string
	Gateway        bool
	Namespace      string
	Name           string // pod name from the id
	Labels         map[string]string
	ServiceAccount string
	Addresses      []string // INSTANCE_IPS and the IP of the id
	Network        string
	Cluster        string // CLUSTER_ID
	Locality       string // region/zone/subzone
	IstioVersion   string
	EnvoyVersion   [3]uint32      // zero when the node does not say
	AgentDNS       bool           // Istio's agent is beside it and answers the name look-ups of the application
	Bootstrap      map[string]int // by mark of a requirement: how much the bootstrap provides for

	// Files on the proxy's own file system: its identity where no secret service has it (TLS_CLIENT_CERT_CHAIN,
	// TLS_CLIENT_KEY, TLS_CLIENT_ROOT_CERT), and the roots of its operating system (SYSTEM_ROOTS).
	IdentityCert, IdentityKey, IdentityRoots string
	SystemRoots                              string
}

// NodeFromJSON reads an Envoy Node as JSON.
func NodeFromJSON(b []byte) (Node, error) {
	m := &corev3.Node{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return Node{}, refuse(CodeInvalidNode, "", "give the node as Envoy's bootstrap has it: id, metadata, locality", "not an Envoy node: %v", err)
	}
	return NodeFromProto(m)
}

// NodeFromProto reads an Envoy Node. The id has Istio's form, KIND~IP~POD.NAMESPACE~DOMAIN; what the metadata says
// must not contradict it.
func NodeFromProto(m *corev3.Node) (Node, error) {
	n := Node{ID: m.GetId()}
	parts := strings.Split(n.ID, "~")
	if len(parts) != 4 {
		return n, invalid(n, "the id has not the form sidecar~IP~POD.NAMESPACE~DOMAIN")
	}
	switch parts[0] {
	case "sidecar":
	case "router":
		n.Gateway = true
	default:
		return n, invalid(n, "the id starts with "+parts[0]+"; only sidecar and router proxies are served")
	}
	if i := strings.LastIndexByte(parts[2], '.'); i >= 0 {
		n.Name, n.Namespace = parts[2][:i], parts[2][i+1:]
	}
	f := m.GetMetadata().GetFields()
	if ns := text(f["NAMESPACE"]); ns != "" {
		if n.Namespace != "" && n.Namespace != ns {
			return n, invalid(n, "metadata NAMESPACE is "+ns+", the id says "+n.Namespace)
		}
		n.Namespace = ns
	}
	if n.Namespace == "" {
		return n, invalid(n, "neither the id nor metadata NAMESPACE names a namespace")
	}
	labels := f["LABELS"].GetStructValue().GetFields()
	n.Labels = make(map[string]string, len(labels))
	for k, v := range labels {
		n.Labels[k] = text(v)
	}
	n.ServiceAccount, n.Network, n.Cluster = text(f["SERVICE_ACCOUNT"]), text(f["NETWORK"]), text(f["CLUSTER_ID"])
	n.IstioVersion, n.Bootstrap = text(f["ISTIO_VERSION"]), provided(f[BootstrapMetadata])
	n.AgentDNS = f[BootstrapMetadata] == nil && (on(f["DNS_CAPTURE"]) || on(f["ENABLE_DNS_SERVER"]))
	for _, ip := range append(strings.Split(text(f["INSTANCE_IPS"]), ","), parts[1]) {
		if ip = strings.TrimSpace(ip); ip != "" && !slices.Contains(n.Addresses, ip) {
			n.Addresses = append(n.Addresses, ip)
		}
	}
	n.Locality = strings.TrimRight(m.GetLocality().GetRegion()+"/"+m.GetLocality().GetZone()+"/"+m.GetLocality().GetSubZone(), "/")
	if v := m.GetUserAgentBuildVersion().GetVersion(); v != nil {
		n.EnvoyVersion = [3]uint32{v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()}
	}
	return n, n.files(f)
}

// files takes in where the proxy says it keeps certificates. It has one identity, for the connections it opens as for
// those it takes.
func (n *Node) files(f map[string]*structpb.Value) error {
	for _, x := range []struct {
		to           *string
		name, server string
	}{
		{&n.IdentityCert, "TLS_CLIENT_CERT_CHAIN", "TLS_SERVER_CERT_CHAIN"}, {&n.IdentityKey, "TLS_CLIENT_KEY", "TLS_SERVER_KEY"},
		{&n.IdentityRoots, "TLS_CLIENT_ROOT_CERT", "TLS_SERVER_ROOT_CERT"}, {&n.SystemRoots, "SYSTEM_ROOTS", ""},
	} {
		*x.to = text(f[x.name])
		if *x.to != "" && (!path.IsAbs(*x.to) || strings.ContainsRune(*x.to, 0)) {
			return invalid(*n, "metadata "+x.name+" is not an absolute path")
		}
		if s := text(f[x.server]); s != "" && s != *x.to {
			return invalid(*n, "metadata "+x.server+" differs from "+x.name+"; a proxy has one identity, for both sides of a connection")
		}
	}
	if (n.IdentityCert == "") != (n.IdentityKey == "") {
		return invalid(*n, "metadata TLS_CLIENT_CERT_CHAIN and TLS_CLIENT_KEY go together")
	}
	return nil
}

// on reads a switch, which agents write as text or as what it is.
func on(v *structpb.Value) bool {
	set, err := strconv.ParseBool(v.GetStringValue())
	return v.GetBoolValue() || err == nil && set
}

func text(v *structpb.Value) string { return v.GetStringValue() }

func invalid(n Node, why string) error {
	return refuse(CodeInvalidNode, "", "meshc bootstrap writes a node that fits", "node %q: %s", n.ID, why)
}
