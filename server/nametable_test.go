package server

import (
	"log/slog"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	dnstablev3 "github.com/envoyproxy/go-control-plane/envoy/data/dns/v3"
	dnsfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/dns_filter/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/server/ads"
)

// dnsListener answers hosts, each by one address.
func dnsListener(t testing.TB, hosts map[string]string) *bundle.Resource {
	t.Helper()
	table := &dnstablev3.DnsTable{}
	for host, ip := range hosts {
		table.VirtualDomains = append(table.VirtualDomains, &dnstablev3.DnsTable_DnsVirtualDomain{Name: host, Endpoint: &dnstablev3.DnsTable_DnsEndpoint{
			EndpointConfig: &dnstablev3.DnsTable_DnsEndpoint_AddressList{AddressList: &dnstablev3.DnsTable_AddressList{Address: []string{ip}}}}})
	}
	filter, err := anypb.New(&dnsfilterv3.DnsFilterConfig{StatPrefix: "dns", ServerConfig: &dnsfilterv3.DnsFilterConfig_ServerContextConfig{
		ConfigSource: &dnsfilterv3.DnsFilterConfig_ServerContextConfig_InlineDnsTable{InlineDnsTable: table}}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(&listenerv3.Listener{Name: names.DNSListener,
		ListenerFilters: []*listenerv3.ListenerFilter{{Name: "dns", ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: filter}}}})
	if err != nil {
		t.Fatal(err)
	}
	return &bundle.Resource{Type: bundle.ListenerType, Name: names.DNSListener, Bytes: text, Origins: []bundle.Origin{{File: "f", Line: 1}}}
}

// fields reads the text fields of a message by number.
func fields(t testing.TB, b []byte) map[protowire.Number][]string {
	t.Helper()
	out := map[protowire.Number][]string{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.BytesType {
			t.Fatalf("%x is no such message", b)
		}
		v, m := protowire.ConsumeString(b[n:])
		out[num] = append(out[num], v)
		b = b[n+m:]
	}
	return out
}

// table reads a NameTable: HOST=IP,... REGISTRY SHORT NAMESPACE.
func table(t testing.TB, r *discoveryv3.DeltaDiscoveryResponse) map[string]string {
	t.Helper()
	if len(r.GetResources()) != 1 || r.GetResources()[0].GetResource().GetTypeUrl() != ads.NameTableType {
		t.Fatalf("%v is no name table", r)
	}
	out := map[string]string{}
	for _, entry := range fields(t, r.GetResources()[0].GetResource().GetValue())[1] {
		e := fields(t, []byte(entry))
		info := fields(t, []byte(e[2][0]))
		out[e[1][0]] = strings.Join(info[1], ",") + " " + strings.Join(append(append(info[2], info[3]...), info[4]...), " ")
	}
	return out
}

// agentNode is the node of a proxy beside Istio's agent, which answers look-ups or not.
func agentNode(change map[string]any) *corev3.Node {
	n := node(map[string]any{"app": "a"})
	for k, v := range change {
		n.Metadata.Fields[k], _ = structpb.NewValue(v)
	}
	return n
}

// An agent that answers look-ups gets the table that the listener of the bundle has, and the proxy beside it no listener at
// the agent's address; others get the listener. The table follows the bundle.
func TestNameTable(t *testing.T) {
	sealedWith := func(r ...*bundle.Resource) *bundle.Bundle {
		b, err := bundle.Seal(bundle.Input{EnvoyMin: "1.36", Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": "a"}}},
			Services: []bundle.Service{{Hostname: "db.shop.svc.cluster.local", Namespace: "shop", ClusterIP: true}, {Hostname: "api.example.com", Namespace: "shop"}},
			Classes:  []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, ServiceAccounts: []string{"sa"}, Sets: []*bundle.Set{{Resources: append(base(1), r...)}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := sealedWith(dnsListener(t, map[string]string{"db.shop.svc.cluster.local": "10.0.0.9", "api.example.com": "240.240.0.1"}))
	for _, c := range []struct {
		name  string
		says  map[string]any
		agent bool
	}{
		{"no agent", nil, false},
		{"an agent that leaves look-ups alone", map[string]any{"DNS_CAPTURE": "false"}, false},
		{"meshc's own bootstrap", map[string]any{"DNS_CAPTURE": "true", bundle.BootstrapMetadata: map[string]any{}}, false},
		{"an agent", map[string]any{"DNS_CAPTURE": "true"}, true},
		{"an agent, said otherwise", map[string]any{"DNS_CAPTURE": true}, true},
		{"an agent of a gateway", map[string]any{"ENABLE_DNS_SERVER": "1"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, conn := start(t, first, Options{})
			p := connect(t, conn)
			p.send(&discoveryv3.DeltaDiscoveryRequest{Node: agentNode(c.says), TypeUrl: bundle.ClusterType})
			p.ack(p.want("cds +c1 +c2"))
			p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType})
			if !c.agent {
				p.ack(p.want("lds +dns +l"))
				return
			}
			p.ack(p.want("lds +l"))
			p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: ads.NameTableType})
			r := p.want("nds +names")
			got := table(t, r)
			if len(got) != 2 || got["db.shop.svc.cluster.local"] != "10.0.0.9 Kubernetes db shop" || got["api.example.com"] != "240.240.0.1 External" {
				t.Errorf("%v", got)
			}
			p.ack(r)
			srv.Switch(sealedWith(dnsListener(t, map[string]string{"db.shop.svc.cluster.local": "10.0.0.10"})))
			r = p.want("nds +names")
			if got := table(t, r); len(got) != 1 || got["db.shop.svc.cluster.local"] != "10.0.0.10 Kubernetes db shop" {
				t.Errorf("%v", got)
			}
			p.ack(r)
			srv.Switch(sealedWith())
			r = p.want("nds +names")
			if got := table(t, r); len(got) != 0 {
				t.Errorf("%v", got)
			}
			p.ack(r)
		})
	}
}

// What the agent asks besides is left unanswered, noted once, and costs the proxy nothing.
func TestTypesOfTheAgent(t *testing.T) {
	var log strings.Builder
	srv, conn := start(t, sealed(t, base(1)...), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	p := connect(t, conn)
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.ack(p.want("cds +c1 +c2"))
	for _, url := range []string{"istio.mesh.v1alpha1.ProxyConfig", "istio.v1.HealthInformation", "istio.workload.Workload", "envoy.config.core.v3.TypedExtensionConfig"} {
		for range 3 {
			p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/" + url})
		}
	}
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType})
	p.ack(p.want("lds +l"))
	for _, name := range []string{"pcds", "health", "wds", "ecds"} {
		if n := counted(srv, `meshc_unserved_subscriptions_total{type="`+name+`"}`); n != "1" {
			t.Errorf("%s: %q", name, n)
		}
	}
	if n := strings.Count(log.String(), "is not served"); n != 4 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// An agent that speaks state of the world gets the table, too.
func TestNameTableOfTheWorld(t *testing.T) {
	srv, conn := start(t, sealed(t, append(base(1), dnsListener(t, map[string]string{"a.example": "10.0.0.1"}))...), Options{})
	st, err := conn.StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r *discoveryv3.DiscoveryRequest) *discoveryv3.DiscoveryResponse {
		t.Helper()
		r.TypeUrl, r.Node = ads.NameTableType, agentNode(map[string]any{"DNS_CAPTURE": "true"})
		if err := st.Send(r); err != nil {
			t.Fatal(err)
		}
		out, err := st.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	has := func(r *discoveryv3.DiscoveryResponse, ip string) {
		t.Helper()
		if len(r.GetResources()) != 1 || r.GetTypeUrl() != ads.NameTableType || !strings.Contains(string(r.GetResources()[0].GetValue()), ip) {
			t.Errorf("%v, want %s", r, ip)
		}
	}
	r := ask(&discoveryv3.DiscoveryRequest{})
	has(r, "10.0.0.1")
	srv.Switch(sealed(t, append(base(1), dnsListener(t, map[string]string{"a.example": "10.0.0.2"}))...))
	has(ask(&discoveryv3.DiscoveryRequest{ResponseNonce: r.GetNonce(), VersionInfo: r.GetVersionInfo()}), "10.0.0.2")
}
