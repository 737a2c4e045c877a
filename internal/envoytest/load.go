package envoytest

import (
	"errors"
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/bundle"
)

func number(v float64) *structpb.Value_NumberValue {
	return &structpb.Value_NumberValue{NumberValue: v}
}

// Load gives Envoy what one proxy gets, in the order of ADS, and takes it away again. The error is a *Refusal, or says
// that Envoy did not ask for what it was told of, or has ended. Listeners bind to no port, secrets are never given.
func (p *Proxy) Load(r Resources) error {
	err := p.load(r)
	if ended := (*Refusal)(nil); err != nil && !errors.As(err, &ended) {
		return err
	}
	var listeners, clusters []string
	for _, l := range r.Listeners {
		listeners = append(listeners, l.GetName())
	}
	for _, c := range r.Clusters {
		clusters = append(clusters, c.GetName())
	}
	return errors.Join(err, p.forget(listeners, clusters))
}

func (p *Proxy) load(r Resources) error {
	f := newFolder(r)
	var clusters, listeners []named
	for _, c := range r.Clusters {
		clusters = append(clusters, named{c.GetName(), c})
		if err := f.walk(proto.Clone(c).ProtoReflect()); err != nil { // for the secrets that it asks for
			return err
		}
	}
	for _, l := range r.Listeners {
		listeners = append(listeners, named{l.GetName(), unbound(l)})
		if err := f.walk(proto.Clone(l).ProtoReflect()); err != nil { // and for the route configurations
			return err
		}
	}
	if err := p.offer(r, f); err != nil {
		return err
	}
	for _, x := range []struct {
		url  string
		list []named
	}{{bundle.ClusterType, clusters}, {bundle.ListenerType, listeners}} {
		if err := p.change(x.url, x.list, nil); err != nil {
			return err
		}
	}
	if err := p.until(func() bool {
		for n := range f.asked {
			if !p.subscribed[bundle.RouteConfigurationType][n] {
				return false
			}
		}
		return !slices.ContainsFunc(p.given, func(n string) bool { return !p.answered(n) })
	}); err != nil {
		return err
	}
	var refused []error
	for _, n := range p.given {
		refused = append(refused, p.answer(n))
	}
	return errors.Join(refused...)
}

// offer lays out what Envoy will ask for: endpoints, route configurations and secrets.
func (p *Proxy) offer(r Resources, f *folder) error {
	endpoints, routes, secrets := map[string]named{}, map[string]named{}, map[string]named{}
	for _, c := range r.Clusters {
		if c.GetType() == clusterv3.Cluster_EDS {
			n := serviceName(c)
			endpoints[n] = named{n, &endpointv3.ClusterLoadAssignment{ClusterName: n}}
		}
	}
	for _, e := range r.Endpoints {
		endpoints[e.GetClusterName()] = named{e.GetClusterName(), e}
	}
	for _, rc := range r.Routes {
		rc = proto.Clone(rc).(*routev3.RouteConfiguration)
		rc.Vhds = nil
		routes[rc.GetName()] = named{rc.GetName(), rc}
	}
	list, err := f.staticSecrets()
	for _, s := range list {
		secrets[s.GetName()] = named{s.GetName(), s}
	}
	p.given = nil
	p.offers = map[string]map[string]named{bundle.EndpointsType: endpoints, bundle.RouteConfigurationType: routes, secretType: secrets}
	return err
}

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// forget removes listeners and clusters and waits until nothing of them is left.
func (p *Proxy) forget(listeners, clusters []string) error {
	if err := p.change(bundle.ListenerType, nil, listeners); err != nil {
		return err
	}
	if err := p.change(bundle.ClusterType, nil, clusters); err != nil {
		return err
	}
	return p.until(func() bool {
		return len(p.subscribed[bundle.RouteConfigurationType])+len(p.subscribed[bundle.EndpointsType])+len(p.subscribed[secretType]) == 0
	})
}

// unbound is a listener that takes no port: the machine's may be taken or privileged.
func unbound(l *listenerv3.Listener) *listenerv3.Listener {
	l = proto.Clone(l).(*listenerv3.Listener)
	l.BindToPort = wrapperspb.Bool(false)
	return l
}

func serviceName(c *clusterv3.Cluster) string {
	if n := c.GetEdsClusterConfig().GetServiceName(); n != "" {
		return n
	}
	return c.GetName()
}

// hcm puts the route configuration into the connection manager. A missing one is an error: Envoy would wait for it.
func (f *folder) hcm(m *hcmv3.HttpConnectionManager) error {
	rds := m.GetRds()
	if rds == nil {
		return nil
	}
	rc, ok := f.routes[rds.RouteConfigName]
	if !ok {
		return fmt.Errorf("route configuration %s is asked for and is not there", rds.RouteConfigName)
	}
	f.asked[rds.RouteConfigName] = true
	rc = proto.Clone(rc).(*routev3.RouteConfiguration)
	rc.Vhds = nil
	if rc.ValidateClusters == nil {
		rc.ValidateClusters = wrapFalse() // the default of RDS, not that of an inline configuration
	}
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: rc}
	return nil
}

// Bundle loads what each class of a bundle gets; the refusals are joined, each with its class.
func (p *Proxy) Bundle(b *bundle.Bundle) error {
	var refused []error
	for _, c := range b.Classes {
		text, err := b.XDS(c)
		if err != nil {
			return err
		}
		r, err := Parse(text)
		if err != nil {
			return err
		}
		err = p.Load(r)
		if is := (*Refusal)(nil); err != nil && !errors.As(err, &is) {
			return fmt.Errorf("%s: %w", c.ID, err)
		} else if err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", c.ID, err))
		}
	}
	return errors.Join(refused...)
}
