package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/meshc/meshc/internal/intercept"
)

// checkInterception waits until connections that this user sends come to the proxy's outbound port, as long as the context goes on. It
// takes the place of the proxy meanwhile, so it is for init containers: one that runs before CNI's rules are there would let
// the application send past its proxy.
func (a *app) checkInterception(ctx context.Context, s intercept.Settings) error {
	if os.Getuid() == intercept.ProxyUID {
		return fmt.Errorf("connections of user %d are the proxy's, and no rule takes them: check as another user", intercept.ProxyUID)
	}
	redirected := false
	for _, six := range []bool{false, true} {
		to, ok := s.Probe(six)
		if !ok || six && !hasIPv6() {
			continue
		}
		came, err := awaitRedirect(ctx, to, six)
		if err != nil {
			return fmt.Errorf("connections are not redirected: one to %s does not come to port %d: %w", to, intercept.OutboundPort, err)
		}
		redirected = redirected || came
	}
	if !redirected {
		a.note("nothing is to be redirected, or has a route: there is nothing to check")
		return nil
	}
	a.note("connections of this network namespace go through the proxy")
	return nil
}

// awaitRedirect sends connections to an address at which nobody is until one of them comes to the proxy's port. came is
// false if nothing of the family has a route, so that nothing leaves by the proxy or past it.
func awaitRedirect(ctx context.Context, to netip.AddrPort, six bool) (came bool, err error) {
	network, host := "tcp4", "127.0.0.1"
	if six {
		network, host = "tcp6", "::1"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, network, net.JoinHostPort(host, fmt.Sprint(intercept.OutboundPort)))
	if err != nil {
		return false, err
	}
	arrived := make(chan struct{}, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
			select {
			case arrived <- struct{}{}:
			default:
			}
		}
	}()
	defer func() { _ = l.Close() }()
	var last error
	for {
		c, err := (&net.Dialer{Timeout: probePause}).DialContext(ctx, network, to.String())
		if err == nil {
			_ = c.Close()
		} else if errors.Is(err, syscall.ENETUNREACH) {
			return false, nil
		} else {
			last = err
		}
		select {
		case <-arrived:
			return true, nil
		case <-ctx.Done():
			return false, errors.Join(last, context.Cause(ctx))
		case <-time.After(probePause):
		}
	}
}

// probePause is how long one connection may take, and how long after it the next is sent.
const probePause = 200 * time.Millisecond
