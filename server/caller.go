package server

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/credential"
	"github.com/meshc/meshc/server/ads"
	"github.com/meshc/meshc/server/token"
)

// caller is who holds a stream: what its node claims in the first request, and what the certificate of the connection, or
// the token that the stream was opened with, proves. What later requests say of a node changes nothing.
type caller struct {
	node        bundle.Node
	account     string              // service account: that is proven, or what the node says where nothing has to be
	trustDomain string              // of the certificate; "": there is none
	chain       []*x509.Certificate // as it was shown, the caller's own first; nil: there is none
	delta       bool                // it speaks delta xDS; else state of the world
	token       *token.Account      // that its token proves; nil: there is none
	hangUp      func()              // ends the connection; nil: it was made with nothing that could lose its worth
	extensions  map[string]bool     // of its Envoy, by the messages that configure them; nil: not known

	last atomic.Pointer[judgement]
}

// provenUntil is when the certificate or the token ends that proves who the caller is; zero: nothing does.
func (c *caller) provenUntil() time.Time {
	switch {
	case c.token != nil:
		return c.token.Expires.UTC()
	case c.chain != nil:
		return c.chain[0].NotAfter.UTC()
	}
	return time.Time{}
}

// judgement is what a caller may have of a bundle, with all that it was judged by, so that it is made once for as long as
// these stay.
type judgement struct {
	bundle *bundle.Bundle
	own    *ownIdentity // whose roots the chain was held to; nil: none
	keys   *token.Set   // that the token was held to; nil: none

	class    *bundle.Class // that the caller may have, be its Envoy too old for it or without an extension; nil: none
	unproven error         // why the certificate proves nothing any more
	refused  *refusal      // why the caller gets nothing of the bundle
	lacks    []bundle.Lack // what it gets and its proxy may refuse
}

// refusal is why a caller gets nothing of a bundle.
type refusal struct {
	why  string // the reason, as metrics and /status name it
	code codes.Code
	err  error
}

// entitlement is a view that a caller may have. Nothing but Server.entitle makes one, and a stream is led to nothing else.
type entitlement struct{ view *ads.View }

// entitle decides what a caller may have of a generation. It is asked whenever something is chosen for a stream: when it
// opens, when the bundle changes, and when its endpoints do. Secrets are given by the same judgement.
func (srv *Server) entitle(gen *generation, c *caller) (entitlement, *refusal) {
	j := srv.judge(gen.bundle, c)
	if j.refused != nil {
		return entitlement{}, j.refused
	}
	v, err := gen.view(j.class, c.node, c.delta)
	if err != nil {
		return entitlement{}, &refusal{"bundle", codes.Internal, err}
	}
	return entitlement{v}, nil
}

// lead turns an open session to what its caller may have of a generation.
func (srv *Server) lead(s *session, gen *generation, turn func(entitlement) error) error {
	e, refused := srv.entitle(gen, s.caller)
	if refused != nil {
		return refused.err
	}
	return turn(e)
}

// judge holds a caller to the identities that the server trusts now and to the classes of a bundle.
func (srv *Server) judge(b *bundle.Bundle, c *caller) *judgement {
	var own *ownIdentity
	if c.chain != nil {
		own = srv.own.latest()
	}
	var keys *token.Set
	if c.token != nil {
		keys = srv.tokenKeys()
	}
	if j := c.last.Load(); j != nil && j.bundle == b && (j.own == own || own == nil) && j.keys == keys {
		return j // while the server has no identity of its own, what it found by the last one stands
	}
	j := &judgement{bundle: b, own: own, keys: keys, unproven: srv.stillProven(own, keys, c)}
	if j.unproven != nil {
		j.refused = &refusal{"identity", codes.PermissionDenied, j.unproven}
	} else {
		j.class, j.refused = srv.classFor(b, c)
	}
	if j.refused == nil {
		j.lacks = c.lacks(j.class)
	}
	var before []bundle.Lack
	if last := c.last.Load(); last != nil {
		before = last.lacks
	}
	c.last.Store(j)
	srv.warnOfLacks(c, j.lacks, before)
	return j
}

// stillProven holds the certificate that a connection was made with to the roots and trust domains of now, and the token to
// the keys of now.
func (srv *Server) stillProven(own *ownIdentity, keys *token.Set, c *caller) error {
	if c.token != nil {
		return keys.Vouches(*c.token)
	}
	if c.chain == nil {
		return nil
	}
	if err := srv.own.admits(c.trustDomain); err != nil || own == nil {
		return err
	}
	if err := own.trusts(c.chain); err != nil {
		return fmt.Errorf("the certificate that node %q has connected with is none of a CA of the proxies any more: %w", c.node.ID, err)
	}
	return nil
}

// classFor finds the class of a bundle that a caller may have, and why it gets nothing of it nevertheless.
func (srv *Server) classFor(b *bundle.Bundle, c *caller) (*bundle.Class, *refusal) {
	class, err := b.ClassOf(c.node)
	if err != nil {
		return nil, &refusal{"class", codes.NotFound, err}
	}
	if err := srv.mayHave(class, c); err != nil {
		return nil, &refusal{"identity", codes.PermissionDenied, err}
	}
	if err := supported(b, c.node); err != nil {
		return class, &refusal{"version", codes.FailedPrecondition, err}
	}
	if err := c.loads(b, class); err != nil {
		return class, &refusal{"extension", codes.FailedPrecondition, err}
	}
	return class, nil
}

// mayHave tells whether an authenticated proxy may have the configuration of the class: labels are only a claim. A
// workload that names no service account has the one called default.
func (srv *Server) mayHave(class *bundle.Class, c *caller) error {
	if srv.own == nil || slices.Contains(class.ServiceAccounts, c.account) || len(class.ServiceAccounts) == 0 && c.account == "default" {
		return nil
	}
	return fmt.Errorf("node %q has the labels of class %q, whose workloads run as %s; it has proven to be %q", c.node.ID, class.ID,
		cmp.Or(strings.Join(class.ServiceAccounts, ", "), "default"), c.account)
}

// mayBeGiven tells whether the caller may be given a secret of the name, as it is now: its own identity, as long as its
// certificate is good, and besides what the class names that it may have in the bundle in service. A caller that is left
// with an older configuration gets no newer key for it.
func (j *judgement) mayBeGiven(gen *generation, name string) error {
	switch {
	case j.unproven != nil:
		return j.unproven
	case credential.Own(name):
		return nil
	case j.class == nil:
		return j.refused.err
	case !gen.mentions(j.class, name):
		return errNotNamed
	}
	return nil
}

// reprove ends the connections whose certificates and tokens the server trusts no longer. Their proxies go on with what they
// have, and come back by the certificates and tokens that they have now.
func (srv *Server) reprove() {
	for _, s := range srv.snapshot() {
		if j := srv.judge(srv.of(s.caller).bundle, s.caller); j.unproven != nil {
			_ = srv.refuse(s.node, j.refused.why, j.refused.code, j.unproven)
			s.hangUp()
		}
	}
}
