package server

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	"github.com/meshc/meshc/server/ads"
)

// serveDelta is DeltaAggregatedResources.
func (srv *Server) serveDelta(_ any, g grpc.ServerStream) error {
	return serve(srv, g, true, func(r *discoveryv3.DeltaDiscoveryRequest) ads.Event {
		return ads.DeltaRequest{DeltaDiscoveryRequest: r}
	})
}

// serveSotW is StreamAggregatedResources, state of the world.
func (srv *Server) serveSotW(_ any, g grpc.ServerStream) error {
	return serve(srv, g, false, func(r *discoveryv3.DiscoveryRequest) ads.Event { return ads.SotWRequest{DiscoveryRequest: r} })
}

// request is what both forms of ADS ask with; M is the message that R points to.
type request[M any] interface {
	*M
	GetNode() *corev3.Node
}

// serve holds one ADS stream: it counts the stream in, admits the node by its first request, and hands every request to the
// session as an event, no faster than the limit of requests allows.
func serve[M any, R request[M]](srv *Server, g grpc.ServerStream, delta bool, event func(R) ads.Event) error {
	shown := srv.prove(g)
	if err := srv.acquireStream(shown.id); err != nil {
		return err
	}
	defer srv.releaseStream(shown.id)
	defer shown.expire()()
	req := R(new(M))
	if err := begin(g, req); err != nil {
		return srv.unread(err)
	}
	if question, ok := asksStatus(req); ok {
		return srv.serveStatus(g, shown, question)
	}
	s, err := srv.admit(g, req.GetNode(), delta, shown)
	if err != nil {
		return err
	}
	defer srv.leave(s)
	for pace := srv.newPace(); ; {
		srv.throttle(g.Context(), pace)
		if err := s.request(event(req)); err != nil {
			return err
		}
		req = new(M)
		if err := g.RecvMsg(req); err != nil {
			return srv.unread(err)
		}
	}
}
