package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Push is one response that the server sent to a proxy.
type Push struct {
	Time    time.Time
	Node    string   // node id of the proxy
	Type    string   // short name of the resource type: Cluster, VirtualHost, ...
	Names   []string // of the resources sent; empty for state-of-the-world, where Count says how many
	Removed []string
	Count   int
}

// Rejection is a response that a proxy did not accept.
type Rejection struct {
	Node, Type, Message string
}

// relay stands between the proxies and the server, passes every message on as it is and takes notes. The server is
// reached in its own namespace; the proxies find the relay on their loopback interface, where plaintext is fine.
type relay struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	server *grpc.Server
	client discovery.AggregatedDiscoveryServiceClient
	conn   *grpc.ClientConn

	mu         sync.Mutex
	pushes     []Push
	rejections []Rejection
}

func newRelay(dial func(context.Context, string) (net.Conn, error)) (*relay, error) {
	size := grpc.MaxCallRecvMsgSize(256 << 20)
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial), grpc.WithDefaultCallOptions(size))
	if err != nil {
		return nil, err
	}
	r := &relay{server: grpc.NewServer(grpc.MaxRecvMsgSize(256 << 20)), conn: conn, client: discovery.NewAggregatedDiscoveryServiceClient(conn)}
	discovery.RegisterAggregatedDiscoveryServiceServer(r.server, r)
	return r, nil
}

func (r *relay) close() {
	r.server.Stop()
	r.conn.Close()
}

func shortType(url string) string { return url[strings.LastIndexByte(url, '.')+1:] }

func (r *relay) note(p Push) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Time = time.Now()
	r.pushes = append(r.pushes, p)
}

func (r *relay) reject(node, typ, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejections = append(r.rejections, Rejection{Node: node, Type: shortType(typ), Message: message})
}

// DeltaAggregatedResources relays a delta stream.
func (r *relay) DeltaAggregatedResources(down discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	up, err := r.client.DeltaAggregatedResources(down.Context())
	if err != nil {
		return err
	}
	return relayMessages(r, down, up, func(resp *discovery.DeltaDiscoveryResponse) Push {
		p := Push{Type: shortType(resp.TypeUrl), Removed: resp.RemovedResources, Count: len(resp.Resources)}
		for _, res := range resp.Resources {
			p.Names = append(p.Names, res.Name)
		}
		slices.Sort(p.Names)
		return p
	})
}

// StreamAggregatedResources relays a state-of-the-world stream.
func (r *relay) StreamAggregatedResources(down discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	up, err := r.client.StreamAggregatedResources(down.Context())
	if err != nil {
		return err
	}
	return relayMessages(r, down, up, func(resp *discovery.DiscoveryResponse) Push {
		return Push{Type: shortType(resp.TypeUrl), Count: len(resp.Resources)}
	})
}

// request is what both forms of a request have in common.
type request interface {
	GetNode() *core.Node
	GetTypeUrl() string
	GetErrorDetail() *status.Status
}

// relayMessages passes messages on in both directions until one side ends, and notes what is pushed and rejected.
func relayMessages[Req request, Resp any](r *relay, down interface {
	Recv() (Req, error)
	Send(Resp) error
}, up interface {
	Recv() (Resp, error)
	Send(Req) error
	CloseSend() error
}, push func(Resp) Push) error {
	id := newNodeID()
	go func() {
		for {
			req, err := down.Recv()
			if err != nil {
				_ = up.CloseSend()
				return
			}
			id.set(req.GetNode().GetId())
			if e := req.GetErrorDetail(); e != nil {
				r.reject(id.get(), req.GetTypeUrl(), e.Message)
			}
			if up.Send(req) != nil {
				return
			}
		}
	}()
	for {
		resp, err := up.Recv()
		if err != nil {
			return ended(err)
		}
		p := push(resp)
		p.Node = id.get()
		r.note(p)
		if err := down.Send(resp); err != nil {
			return err
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// nodeID is the id of the proxy on a stream, known from its first request on.
type nodeID struct {
	mu sync.Mutex
	id string
}

func newNodeID() *nodeID { return &nodeID{} }

func (n *nodeID) set(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.id == "" {
		n.id = id
	}
}

func (n *nodeID) get() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}
