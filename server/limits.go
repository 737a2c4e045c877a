package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
)

// begin reads the first request of a stream, which proxies send at once.
func begin(g grpc.ServerStream, req any) error {
	got := make(chan error, 1)
	go func() { got <- g.RecvMsg(req) }()
	t := time.NewTimer(limit.FirstRequest)
	defer t.Stop()
	select {
	case err := <-got:
		return err
	case <-t.C:
		return status.Errorf(codes.DeadlineExceeded, "no request for %v after the stream was opened", limit.FirstRequest)
	}
}

// acquireStream counts a stream of an identity in, if there is room for one more; "" is who has none.
func (srv *Server) acquireStream(who string) error {
	if srv.unheard() != nil {
		return status.Error(codes.Unavailable, errEndpointsUnheard.Error())
	}
	srv.mu.Lock()
	srv.total++
	srv.opened[who]++
	all, own := srv.total, srv.opened[who]
	srv.mu.Unlock()
	var err error
	switch {
	case srv.opts.MaxStreams > 0 && all > srv.opts.MaxStreams:
		err = errTooManyStreams
	case srv.opts.MaxStreamsPerIdentity > 0 && own > srv.opts.MaxStreamsPerIdentity && who != "":
		err = fmt.Errorf("%s has as many streams as one identity may have: raise --max-streams-per-identity if these are its workloads", who)
	}
	if err != nil {
		srv.releaseStream(who)
		return srv.refuse(bundle.Node{}, "limit", codes.ResourceExhausted, err)
	}
	return nil
}

func (srv *Server) releaseStream(who string) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.total--
	if srv.opened[who]--; srv.opened[who] == 0 {
		delete(srv.opened, who)
	}
}

var errTooManyStreams = errors.New("the server has as many streams as it takes: add a replica, or raise --max-streams")

// sizeOf holds a node against the bounds, before anything of it is kept or logged.
func sizeOf(m *corev3.Node) error {
	switch {
	case len(m.GetId()) > limit.NodeIDBytes:
		return fmt.Errorf("the node id has %d bytes, more than %d", len(m.GetId()), limit.NodeIDBytes)
	case proto.Size(m.GetMetadata()) > limit.NodeMetadataBytes:
		return fmt.Errorf("the node metadata has more than %d bytes", limit.NodeMetadataBytes)
	}
	return nil
}

// pace bounds how fast requests of a stream are read; who is faster waits, and gRPC's flow control with it.
type pace struct {
	rate, burst float64 // requests per second, and how many at once
	tokens      float64
	last        time.Time
}

func (srv *Server) newPace() *pace {
	r := srv.opts.RequestRate
	return &pace{rate: r, burst: 10 * r, tokens: 10 * r, last: time.Now()}
}

// take takes a token and returns how long to wait for it.
func (p *pace) take(now time.Time) time.Duration {
	p.tokens = min(p.burst, p.tokens+p.rate*now.Sub(p.last).Seconds())
	p.last = now
	if p.tokens--; p.tokens >= 0 {
		return 0
	}
	return time.Duration(-p.tokens / p.rate * float64(time.Second))
}

// throttle waits until the next request of the stream may be read.
func (srv *Server) throttle(ctx context.Context, p *pace) {
	if p.rate <= 0 {
		return
	}
	d := p.take(time.Now())
	if d <= 0 {
		return
	}
	srv.metrics.throttled.Inc()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// expiring ends a connection when the certificate of its caller expires: a stream does not outlive the identity it was
// opened with.
type expiring struct {
	credentials.TransportCredentials
	unproven func(from net.Addr, err error) // told of callers whose handshake fails
}

// ServerHandshake implements credentials.TransportCredentials.
func (e expiring) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := e.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		e.unproven(raw.RemoteAddr(), err)
		return nil, nil, err
	}
	t, ok := info.(credentials.TLSInfo)
	if !ok {
		return c, info, nil
	}
	hangUp := func() { _ = c.Close() }
	if until, ok := validUntil(&t.State); ok {
		return &expiringConn{c, time.AfterFunc(time.Until(until), hangUp)}, tlsCaller{t, hangUp}, nil
	}
	return c, tlsCaller{t, hangUp}, nil
}

// tlsCaller is what is known of the other end of a connection, and how to end it.
type tlsCaller struct {
	credentials.TLSInfo
	hangUp func()
}

// Clone implements credentials.TransportCredentials.
func (e expiring) Clone() credentials.TransportCredentials {
	return expiring{e.TransportCredentials.Clone(), e.unproven}
}

// validUntil is when the first certificate of the caller's chain expires.
func validUntil(s *tls.ConnectionState) (until time.Time, ok bool) {
	if len(s.VerifiedChains) == 0 {
		return until, false
	}
	for _, c := range s.VerifiedChains[0] {
		if !ok || c.NotAfter.Before(until) {
			until, ok = c.NotAfter, true
		}
	}
	return until, ok
}

type expiringConn struct {
	net.Conn
	timer *time.Timer
}

// Close implements net.Conn.
func (c *expiringConn) Close() error {
	c.timer.Stop()
	return c.Conn.Close()
}
