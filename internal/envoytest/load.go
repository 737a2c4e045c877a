package envoytest

import (
	"errors"
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/bundle"
)

func number(v float64) *structpb.Value_NumberValue {
	return &structpb.Value_NumberValue{NumberValue: v}
}

// Load gives Envoy what one proxy gets, in the order of ADS, and takes it away again. The error is a *Refusal, or says
// that Envoy did not ask for what it was told of, or has ended. Listeners bind to no port, and secrets
// are made up.
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
	w := newWants()
	var clusters, listeners []named
	for _, c := range r.Clusters {
		clusters = append(clusters, named{c.GetName(), c})
		w.in(c.ProtoReflect())
	}
	for _, l := range r.Listeners {
		listeners = append(listeners, named{l.GetName(), unbound(l)})
		w.in(l.ProtoReflect())
	}
	for n := range w.routes {
		if !slices.ContainsFunc(r.Routes, func(rc *routev3.RouteConfiguration) bool { return rc.GetName() == n }) {
			return fmt.Errorf("envoytest: route configuration %s is asked for and is not there", n)
		}
	}
	if err := p.offer(r, w); err != nil {
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
		for n := range w.routes {
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
func (p *Proxy) offer(r Resources, w *wants) error {
	endpoints, routes := map[string]named{}, map[string]named{}
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
	secrets, err := w.secrets()
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

// unbound is a listener that takes no port of the machine, which may be taken or privileged. One of UDP has to bind: it
// takes any that is free.
func unbound(l *listenerv3.Listener) *listenerv3.Listener {
	l = proto.Clone(l).(*listenerv3.Listener)
	if a := l.GetAddress().GetSocketAddress(); a.GetProtocol() == corev3.SocketAddress_UDP {
		a.PortSpecifier = &corev3.SocketAddress_PortValue{}
		return l
	}
	l.BindToPort = wrapperspb.Bool(false)
	return l
}

func serviceName(c *clusterv3.Cluster) string {
	if n := c.GetEdsClusterConfig().GetServiceName(); n != "" {
		return n
	}
	return c.GetName()
}

// Bundle loads what each class of a bundle gets; the refusals are joined, each with its class.
func (p *Proxy) Bundle(b *bundle.Bundle) error {
	var refused []error
	for _, c := range b.Classes {
		r, err := Of(c)
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
