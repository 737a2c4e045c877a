package patch

import (
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// The operations of EnvoyFilter.patch.
const (
	opMerge        = networking.EnvoyFilter_Patch_MERGE
	opMergeReplace = networking.EnvoyFilter_Patch_MERGE_AND_REPLACE_LIST
	opAdd          = networking.EnvoyFilter_Patch_ADD
	opRemove       = networking.EnvoyFilter_Patch_REMOVE
	opInsertFirst  = networking.EnvoyFilter_Patch_INSERT_FIRST
	opInsertBefore = networking.EnvoyFilter_Patch_INSERT_BEFORE
	opInsertAfter  = networking.EnvoyFilter_Patch_INSERT_AFTER
	opReplace      = networking.EnvoyFilter_Patch_REPLACE
)

// adds tells whether an operation makes a new object where a kind has no order: Istio takes INSERT there for ADD.
func adds(op patchOp) bool {
	return op == opAdd || op == opInsertFirst || op == opInsertBefore || op == opInsertAfter
}

// merges tells whether an operation changes an object in its place.
func merges(op patchOp) bool { return op == opMerge || op == opMergeReplace }

// patchClusters merges into, removes and adds clusters.
func (p *patcher) patchClusters(rs []*xds.Resource) []*xds.Resource {
	patches := p.patches[networking.EnvoyFilter_CLUSTER]
	if len(patches) == 0 {
		return rs
	}
	var out []*xds.Resource
	removed, kept := map[string]bool{}, map[string]bool{}
	for _, r := range rs {
		if r.Type != xds.Cluster {
			out = append(out, r)
			continue
		}
		removed[r.Name] = true
		if r = p.patchCluster(r, patches); r != nil {
			kept[r.Name] = true
			out = append(out, r)
		}
	}
	maps.DeleteFunc(removed, func(name string, _ bool) bool { return kept[name] })
	out = slices.DeleteFunc(out, func(r *xds.Resource) bool { return r.Type == xds.Endpoints && removed[r.Name] })
	if !p.room.Clusters {
		return out
	}
	for _, e := range patches {
		if !adds(e.op()) || !p.mayAdd(e) {
			continue
		}
		c := e.value.(*clusterv3.Cluster)
		r := &xds.Resource{Type: xds.Cluster, Name: c.Name, Message: proto.Clone(c)}
		p.hit(e, r)
		out = append(out, r)
	}
	return out
}

// mayAdd tells whether an object is added here: with the context ANY not again on the inbound side of sidecars.
func (p *patcher) mayAdd(e *envoyPatch) bool {
	return p.context != networking.EnvoyFilter_SIDECAR_INBOUND || e.spec.GetMatch().GetContext() == p.context
}

func (p *patcher) patchCluster(r *xds.Resource, patches []*envoyPatch) *xds.Resource {
	changed := false
	for _, e := range patches {
		if adds(e.op()) || !p.clusterMatches(e, r.Name) {
			continue
		}
		if e.op() == opRemove {
			p.hit(e, nil)
			p.table.removes(r.Name, e)
			return nil
		}
		if !changed {
			r, changed = mutable(r), true
		}
		if err := mergeCluster(r.Message.(*clusterv3.Cluster), e.value.(*clusterv3.Cluster), e.op() == opMergeReplace); err != nil {
			p.fail(e, r.Name, err)
			continue
		}
		p.hit(e, r)
	}
	return r
}

// mergeCluster merges a cluster. A transport socket merges into the one of its name, also where automatic mutual TLS
// keeps it among transport_socket_matches.
func mergeCluster(dst, src *clusterv3.Cluster, replaceLists bool) error {
	if ts := src.GetTransportSocket(); ts != nil {
		var into *corev3.TransportSocket
		for _, m := range dst.GetTransportSocketMatches() {
			if m.GetTransportSocket().GetName() == ts.Name {
				into = m.TransportSocket
				break
			}
		}
		if own := dst.GetTransportSocket(); into == nil && own.GetName() == ts.Name {
			into = own
		}
		if into != nil {
			merged, err := mergeAny(into.GetTypedConfig(), ts.GetTypedConfig())
			if err != nil {
				return err
			}
			into.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: merged}
			src = proto.Clone(src).(*clusterv3.Cluster)
			src.TransportSocket = nil
		}
	}
	merge(dst, src, replaceLists)
	return nil
}

// clusterMatches compares the name of a cluster, or the parts that Istio's names are made of.
func (p *patcher) clusterMatches(e *envoyPatch, name string) bool {
	m := e.spec.GetMatch().GetCluster()
	if m == nil {
		return true
	}
	if m.Name != "" {
		return m.Name == name
	}
	c, ok := names.ParseCluster(name)
	if !ok {
		return m.Service == "" && m.Subset == "" && m.PortNumber == 0
	}
	if m.Subset != "" && m.Subset != c.Subset || m.PortNumber != 0 && m.PortNumber != c.Port {
		return false
	}
	if m.Service == "" || m.Service == c.Host {
		return true
	}
	return p.inbound != nil && c.Inbound && slices.ContainsFunc(p.inbound.Targets, func(t mesh.Target) bool {
		return t.TargetPort == c.Port && t.Service.Hostname == m.Service
	})
}
