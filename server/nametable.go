package server

import (
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	dnsfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/dns_filter/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/server/ads"
)

// giveNames has Istio's agent answer name look-ups in the place of the proxy: the agent listens where the listener of the
// bundle would, so the proxy does not get that, and the agent gets its table. Where a class has no such listener the table is
// empty: the agent waits for one before it is ready, and asks the resolvers of the host for what is not in it.
func (g *generation) giveNames(v *ads.View) error {
	var table []byte
	for _, s := range v.Class.Sets {
		for _, r := range s.Resources {
			if r.Type != bundle.ListenerType || r.Name != names.DNSListener {
				continue
			}
			var err error
			if table, err = g.nameTable(r); err != nil {
				return err
			}
		}
	}
	list := g.reg.List(ads.Listeners)
	v.Target[ads.Listeners].Each(func(id int32) {
		if list[id].Name == names.DNSListener {
			v.Target[ads.Listeners].Clear(id)
		}
	})
	v.Target[ads.NameTables].Set(g.reg.AddMade(ads.NameTables, "names", table))
	return nil
}

// Field numbers of a NameTable and of what it has of a name.
const (
	tableEntry, entryKey, entryValue = 1, 1, 2

	infoIP, infoRegistry, infoShortName, infoNamespace = 1, 2, 3, 4
)

// kubernetesRegistry is the registry of names that the agent knows by their short forms, too.
const kubernetesRegistry = "Kubernetes"

// nameTable writes the names that a DNS listener answers as the agent reads them. The message is a map of names to their
// addresses, and is written here field by field: Istio publishes it with its whole control plane only.
func (g *generation) nameTable(r *bundle.Resource) ([]byte, error) {
	var l listenerv3.Listener
	if err := proto.Unmarshal(r.Bytes, &l); err != nil {
		return nil, err
	}
	services := map[string]string{} // namespaces by host
	for _, s := range g.bundle.Services {
		if s.ClusterIP || s.Headless {
			services[s.Hostname] = s.Namespace
		}
	}
	var out []byte
	for _, f := range l.GetListenerFilters() {
		var dns dnsfilterv3.DnsFilterConfig
		if !f.GetTypedConfig().MessageIs(&dns) {
			continue
		}
		if err := f.GetTypedConfig().UnmarshalTo(&dns); err != nil {
			return nil, err
		}
		for _, d := range dns.GetServerConfig().GetInlineDnsTable().GetVirtualDomains() {
			var info []byte
			for _, ip := range d.GetEndpoint().GetAddressList().GetAddress() {
				info = protowire.AppendString(protowire.AppendTag(info, infoIP, protowire.BytesType), ip)
			}
			info = append(info, registered(d.GetName(), services[d.GetName()])...)
			entry := protowire.AppendString(protowire.AppendTag(nil, entryKey, protowire.BytesType), d.GetName())
			entry = protowire.AppendBytes(protowire.AppendTag(entry, entryValue, protowire.BytesType), info)
			out = protowire.AppendBytes(protowire.AppendTag(out, tableEntry, protowire.BytesType), entry)
		}
	}
	return out, nil
}

// registered is where a name comes from: of a Service of Kubernetes its own name and its namespace, which others have not.
func registered(host, namespace string) (out []byte) {
	text := func(field protowire.Number, s string) {
		out = protowire.AppendString(protowire.AppendTag(out, field, protowire.BytesType), s)
	}
	if namespace == "" {
		text(infoRegistry, "External")
		return out
	}
	short, _, _ := strings.Cut(host, ".")
	text(infoRegistry, kubernetesRegistry)
	text(infoShortName, short)
	text(infoNamespace, namespace)
	return out
}
