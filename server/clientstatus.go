package server

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/server/ads"
)

// Types by which istioctl asks a control plane about its proxies, in place of configuration for a proxy.
const (
	debugTypes     = "istio.io/debug/"
	syncStatusType = debugTypes + "syncz"       // one ClientConfig for each proxy
	configDumpType = debugTypes + "config_dump" // of the proxy POD.NAMESPACE: what a dump of Envoy has
)

// DefaultStatusNamespace is whose accounts may ask about all proxies.
const DefaultStatusNamespace = "istio-system"

// asksStatus tells whether a stream is one of istioctl's, by its first request.
func asksStatus(r any) (*discoveryv3.DiscoveryRequest, bool) {
	req, ok := r.(*discoveryv3.DiscoveryRequest)
	return req, ok && strings.HasPrefix(req.GetTypeUrl(), debugTypes)
}

// serveStatus answers a stream of istioctl's. Who asks is proven as a proxy is, and is told of the proxies of its own
// namespace, or of all where its namespace is one for that. It need not be a proxy, so what it says of its node is not read.
func (srv *Server) serveStatus(g grpc.ServerStream, shown proof, req *discoveryv3.DiscoveryRequest) error {
	if r := shown.refused; r != nil {
		return srv.refuse(bundle.Node{}, r.why, r.code, r.err)
	}
	answers := 0 // the nonce of each is its number; the first question has a nonce of istioctl's own
	for pace := srv.newPace(); ; {
		srv.throttle(g.Context(), pace)
		if answers == 0 || req.GetResponseNonce() != strconv.Itoa(answers) {
			out, err := srv.answerStatus(shown, req)
			if err != nil {
				return err
			}
			answers++
			out.Nonce = strconv.Itoa(answers)
			if err := g.SendMsg(out); err != nil {
				return err
			}
		}
		req = &discoveryv3.DiscoveryRequest{}
		if err := g.RecvMsg(req); err != nil {
			return srv.unread(err)
		}
	}
}

// answerStatus is the answer to one question. What there is nothing to say about is answered by nothing.
func (srv *Server) answerStatus(shown proof, req *discoveryv3.DiscoveryRequest) (*discoveryv3.DiscoveryResponse, error) {
	out := &discoveryv3.DiscoveryResponse{TypeUrl: req.GetTypeUrl(), VersionInfo: srv.base().bundle.Digest.String(), ControlPlane: srv.instance()}
	var sessions []*session
	for _, s := range srv.snapshot() {
		if srv.own == nil || s.node.Namespace == shown.namespace || slices.Contains(srv.opts.StatusNamespaces, shown.namespace) {
			sessions = append(sessions, s)
		}
	}
	slices.SortFunc(sessions, func(a, b *session) int { return cmp.Or(cmp.Compare(a.node.ID, b.node.ID), a.since.Compare(b.since)) })
	var list []proto.Message
	var err error
	switch req.GetTypeUrl() {
	case syncStatusType:
		for _, s := range sessions {
			list = append(list, s.clientConfig())
		}
	case configDumpType:
		i := slices.IndexFunc(sessions, func(s *session) bool {
			return len(req.GetResourceNames()) == 1 && s.node.Name+"."+s.node.Namespace == req.GetResourceNames()[0]
		})
		if i >= 0 {
			list, err = sessions[i].configDump()
		}
	}
	for _, m := range list {
		packed, packing := anypb.New(m)
		if packing != nil {
			return nil, packing
		}
		out.Resources = append(out.Resources, packed)
	}
	return out, err
}

// instance is how the server names itself to istioctl, which shows it beside each proxy.
func (srv *Server) instance() *corev3.ControlPlane {
	host, _ := os.Hostname()
	text, _ := json.Marshal(map[string]any{"Component": "meshc", "ID": cmp.Or(host, "meshc"), "Info": map[string]string{"version": srv.base().provenance().Compiler}}) // text is all there is
	return &corev3.ControlPlane{Identifier: string(text)}
}

// clientConfig tells how far a proxy is, by type.
func (s *session) clientConfig() *statusv3.ClientConfig {
	out := &statusv3.ClientConfig{Node: &corev3.Node{Id: s.node.ID, Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		"CLUSTER_ID": structpb.NewStringValue(s.node.Cluster), "NAMESPACE": structpb.NewStringValue(s.node.Namespace), "ISTIO_VERSION": structpb.NewStringValue(s.node.IstioVersion)}}}}
	s.mu.Lock()
	defer s.mu.Unlock()
	refusals := map[string]string{}
	for _, n := range s.ads.NACKs() {
		refusals[n.Type] = n.Error
	}
	s.ads.EachAsked(func(k ads.Kind, state ads.State) {
		c := &statusv3.ClientConfig_GenericXdsConfig{TypeUrl: k.URL()}
		switch state {
		case ads.NotSent:
			c.ConfigStatus = statusv3.ConfigStatus_NOT_SENT
		case ads.Unanswered:
			c.ConfigStatus = statusv3.ConfigStatus_STALE
		case ads.Taken:
			c.ConfigStatus = statusv3.ConfigStatus_SYNCED
		case ads.HasRefused:
			c.ConfigStatus = statusv3.ConfigStatus_ERROR
			c.ErrorState = &adminv3.UpdateFailureState{Details: refusals[k.String()]}
		}
		out.GenericXdsConfigs = append(out.GenericXdsConfigs, c)
	})
	return out
}

// Field numbers of a RouteConfiguration and of a VirtualHost.
const hostsField, hostNameField = 2, 1

// shown are the resources of a proxy in the form in which it has them: a proxy of delta xDS puts virtual hosts that come by
// themselves into their route configuration under the names of the resources, and says in its dump where they come from.
func (s *session) shown(rs []*bundle.Resource) ([]*bundle.Resource, error) {
	if !s.delta {
		return bundle.Inlined(rs)
	}
	hosts := map[string][]byte{}
	for _, r := range rs {
		if r.Type == bundle.VirtualHostType {
			config, _ := names.ParseVirtualHost(r.Name)
			named := protowire.AppendString(protowire.AppendTag(slices.Clone(r.Bytes), hostNameField, protowire.BytesType), r.Name) // the last name counts
			hosts[config] = protowire.AppendBytes(protowire.AppendTag(hosts[config], hostsField, protowire.BytesType), named)
		}
	}
	out := slices.Clone(rs)
	for i, r := range rs {
		if r.Type == bundle.RouteConfigurationType && len(hosts[r.Name]) > 0 {
			whole := *r
			whole.Bytes = slices.Concat(r.Bytes, hosts[r.Name])
			out[i] = &whole
		}
	}
	return out, nil
}

// configDump is what the proxy is to have, in the form of a dump of Envoy; secrets are not in it.
func (s *session) configDump() ([]proto.Message, error) {
	s.mu.Lock()
	v := s.ads.View()
	s.mu.Unlock()
	rs, err := s.shown(v.Class.Resources())
	if err != nil {
		return nil, err
	}
	version := v.Bundle.Digest.String()
	clusters, listeners, routes := &adminv3.ClustersConfigDump{VersionInfo: version}, &adminv3.ListenersConfigDump{VersionInfo: version}, &adminv3.RoutesConfigDump{}
	for _, r := range rs {
		packed := &anypb.Any{TypeUrl: r.Type, Value: r.Bytes}
		switch {
		case r.Type == bundle.ClusterType:
			clusters.DynamicActiveClusters = append(clusters.DynamicActiveClusters, &adminv3.ClustersConfigDump_DynamicCluster{VersionInfo: version, Cluster: packed})
		case r.Type == bundle.ListenerType && !(s.node.AgentDNS && r.Name == names.DNSListener):
			listeners.DynamicListeners = append(listeners.DynamicListeners, &adminv3.ListenersConfigDump_DynamicListener{Name: r.Name,
				ActiveState: &adminv3.ListenersConfigDump_DynamicListenerState{VersionInfo: version, Listener: packed}})
		case r.Type == bundle.RouteConfigurationType:
			routes.DynamicRouteConfigs = append(routes.DynamicRouteConfigs, &adminv3.RoutesConfigDump_DynamicRouteConfig{VersionInfo: version, RouteConfig: packed})
		}
	}
	return []proto.Message{clusters, listeners, routes}, nil
}
