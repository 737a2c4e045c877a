//go:build unix

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
)

// proxy is a stream that acknowledges all it gets, and what it holds.
type proxy struct {
	node   *corev3.Node
	delta  bool
	cancel context.CancelFunc
	ended  chan error

	mu   sync.Mutex
	held map[string][sha256.Size]byte // digests of messages, by type and name
	last time.Time                    // when something came
}

func (p *proxy) put(url, name string, message []byte) { p.held[url+" "+name] = sha256.Sum256(message) }

// connect opens streams for the nodes in turn, each on a connection of its own; every fifth is of state of the world.
func (s *soak) connect(ctx context.Context, ads string) ([]*proxy, error) {
	var list []*proxy
	for i := range s.streams {
		p, err := open(ctx, ads, s.nodes[i%len(s.nodes)], i%5 != 0)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func open(ctx context.Context, ads string, node *corev3.Node, delta bool) (*proxy, error) {
	conn, err := grpc.NewClient(ads, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &proxy{node: node, delta: delta, cancel: cancel, ended: make(chan error, 1), held: map[string][sha256.Size]byte{}, last: time.Now()}
	c := discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
	go func() {
		defer func() { _ = conn.Close() }()
		p.ended <- p.run(ctx, c)
	}()
	return p, nil
}

func (p *proxy) run(ctx context.Context, c discoveryv3.AggregatedDiscoveryServiceClient) error {
	if p.delta {
		st, err := c.DeltaAggregatedResources(ctx)
		if err != nil {
			return err
		}
		return p.runDelta(st)
	}
	st, err := c.StreamAggregatedResources(ctx)
	if err != nil {
		return err
	}
	return p.runWorld(st)
}

func (p *proxy) runDelta(st discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) error {
	for _, url := range []string{bundle.ClusterType, bundle.EndpointsType, bundle.ListenerType, bundle.RouteConfigurationType, bundle.VirtualHostType} {
		if err := st.Send(&discoveryv3.DeltaDiscoveryRequest{Node: p.node, TypeUrl: url, ResourceNamesSubscribe: []string{"*"}}); err != nil {
			return err
		}
	}
	for {
		r, err := st.Recv()
		if err != nil {
			return err
		}
		p.mu.Lock()
		for _, x := range r.Resources {
			p.put(r.TypeUrl, x.Name, x.Resource.GetValue())
		}
		for _, name := range r.RemovedResources {
			delete(p.held, r.TypeUrl+" "+name)
		}
		p.last = time.Now()
		p.mu.Unlock()
		if err := st.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce}); err != nil {
			return err
		}
	}
}

// runWorld asks for clusters and listeners, and then for the endpoints of the clusters.
func (p *proxy) runWorld(st discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient) error {
	for _, url := range []string{bundle.ClusterType, bundle.ListenerType} {
		if err := st.Send(&discoveryv3.DiscoveryRequest{Node: p.node, TypeUrl: url}); err != nil {
			return err
		}
	}
	asked := map[string][]string{}
	for {
		r, err := st.Recv()
		if err != nil {
			return err
		}
		all, err := p.takeWorld(r)
		if err != nil {
			return err
		}
		if err := st.Send(&discoveryv3.DiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce, VersionInfo: r.VersionInfo, ResourceNames: asked[r.TypeUrl]}); err != nil {
			return err
		}
		if r.TypeUrl == bundle.ClusterType && !slices.Equal(asked[bundle.EndpointsType], all) {
			asked[bundle.EndpointsType] = all
			if err := st.Send(&discoveryv3.DiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNames: all}); err != nil {
				return err
			}
		}
	}
}

// takeWorld takes a response in, and returns the names in it.
func (p *proxy) takeWorld(r *discoveryv3.DiscoveryResponse) (all []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	if r.TypeUrl == bundle.ClusterType || r.TypeUrl == bundle.ListenerType { // what is not in it is gone
		maps.DeleteFunc(p.held, func(key string, _ [sha256.Size]byte) bool { return key[:len(r.TypeUrl)] == r.TypeUrl })
	}
	for _, x := range r.Resources {
		name, err := nameOf(x)
		if err != nil {
			return nil, err
		}
		p.put(r.TypeUrl, name, x.Value)
		all = append(all, name)
	}
	slices.Sort(all)
	return all, nil
}

// nameOf is the name in a message, which state of the world does not say besides.
func nameOf(a *anypb.Any) (string, error) {
	var m proto.Message
	switch a.TypeUrl {
	case bundle.ClusterType:
		m = &clusterv3.Cluster{}
	case bundle.EndpointsType:
		m = &endpointv3.ClusterLoadAssignment{}
	case bundle.ListenerType:
		m = &listenerv3.Listener{}
	default:
		m = &routev3.RouteConfiguration{}
	}
	if err := proto.Unmarshal(a.Value, m); err != nil {
		return "", err
	}
	if e, ok := m.(*endpointv3.ClusterLoadAssignment); ok {
		return e.ClusterName, nil
	}
	return m.(interface{ GetName() string }).GetName(), nil
}

// settle is how long a proxy has to hear nothing before it has what it is to have.
const settle = 15 * time.Second

// settled waits until no proxy hears anything any more.
func settled(ctx context.Context, list []*proxy) error {
	for {
		var latest time.Time
		for _, p := range list {
			p.mu.Lock()
			if p.last.After(latest) {
				latest = p.last
			}
			p.mu.Unlock()
			select {
			case err := <-p.ended:
				return fmt.Errorf("the stream of %s ended: %w", p.node.Id, err)
			default:
			}
		}
		if time.Since(latest) > settle {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// compare holds what each proxy has against what a new one of the same node and kind gets.
func (s *soak) compare(ctx context.Context, ads string, old []*proxy) error {
	if err := settled(ctx, old); err != nil {
		return err
	}
	fresh, err := s.connect(ctx, ads)
	if err != nil {
		return err
	}
	if err := settled(ctx, fresh); err != nil {
		return err
	}
	resources := 0
	var differ []error
	for i, p := range old {
		p.cancel()
		fresh[i].cancel()
		p.mu.Lock()
		resources += len(p.held)
		if !maps.Equal(p.held, fresh[i].held) {
			differ = append(differ, fmt.Errorf("%s (delta %v) holds %d resources, and a new proxy in its place gets %d, or others", p.node.Id, p.delta, len(p.held), len(fresh[i].held)))
		}
		p.mu.Unlock()
	}
	fmt.Printf("%d of %d proxies hold something else than new ones in their place; they hold %d resources\n", len(differ), len(old), resources)
	return errors.Join(differ...)
}
