package server

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
)

// request is what both forms of ADS ask with; M is the message that R points to.
type request[M any] interface {
	*M
	GetNode() *corev3.Node
}

// converse holds one ADS stream: it counts the stream in, lets the node in by its first request, and hands every request
// to take, no faster than the limit of requests allows.
func converse[M any, R request[M]](srv *Server, g grpc.ServerStream, delta bool, take func(*stream, R) error) error {
	who := provenID(g)
	if err := srv.enter(who); err != nil {
		return err
	}
	defer srv.exit(who)
	req := R(new(M))
	if err := begin(g, req); err != nil {
		return srv.unread(err)
	}
	s, err := srv.open(g, req.GetNode(), delta)
	if err != nil {
		return err
	}
	defer srv.leave(s)
	for pace := srv.newPace(); ; {
		srv.throttle(g.Context(), pace)
		if err := take(s, req); err != nil {
			return err
		}
		req = new(M)
		if err := g.RecvMsg(req); err != nil {
			return srv.unread(err)
		}
	}
}
