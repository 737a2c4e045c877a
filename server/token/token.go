// Package token verifies the tokens by which proxies prove which service account of Kubernetes they run as: bearer tokens
// that an API server has signed for an audience, as kubelet projects them into a pod.
//
// A token is read once: its algorithm has to be an asymmetric one, its size within bounds, its audience that of the server,
// its time now. Then somebody vouches for its signature: Keys, by the public keys of the API server, offline; or Review, by
// asking the API server, which also knows whether the pod and the service account are still there. Who is proven comes from
// the claims that were vouched for, and is complete or an error. No error shows any part of a token but its claims.
package token

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/meshc/meshc/internal/limit"
)

// Account is the service account that a token proves, for as long as it holds.
type Account struct {
	Namespace, Name string
	Pod             string // name of the pod that the token is bound to; "": to none
	Expires         time.Time

	key string // fingerprint of the key that vouches; "": the API server has vouched
}

// Verifier tells which account a token proves, or why it proves none. ctx bounds how long it may ask.
type Verifier interface {
	Verify(ctx context.Context, raw string) (Account, error)
}

// Wants is what a token has to say besides whose it is.
type Wants struct {
	Audiences []string // one of them at least
	Issuers   []string // one of them; none: whoever has the key
}

// algorithms are those by which API servers sign. A key is public, so none of them takes it for a secret.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512}
}

// named is an object that a token is bound to.
type named struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// claims are those of a token that count.
type claims struct {
	jwt.Claims
	Kubernetes struct {
		Namespace      string `json:"namespace"`
		Pod            *named `json:"pod"`
		ServiceAccount named  `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// parse reads a token without trusting it.
func parse(raw string) (*jwt.JSONWebToken, error) {
	if len(raw) > limit.TokenBytes {
		return nil, fmt.Errorf("the token has more than %d bytes", limit.TokenBytes)
	}
	t, err := jwt.ParseSigned(raw, algorithms())
	if err != nil {
		return nil, fmt.Errorf("what is shown is no token of a service account: %.200s", err.Error())
	}
	return t, nil
}

// skew is how far the clock of the API server may be ahead.
const skew = time.Minute

// holds tells whether claims are for this server, now.
func (w Wants) holds(c *claims, now time.Time) error {
	switch {
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(w.Audiences, a) }):
		return fmt.Errorf("the token is for the audience %.200q, and this server takes %q", strings.Join(c.Audience, " "), strings.Join(w.Audiences, " "))
	case len(w.Issuers) > 0 && !slices.Contains(w.Issuers, c.Issuer):
		return fmt.Errorf("the token is of the issuer %.200q, and this server takes %q", c.Issuer, strings.Join(w.Issuers, " "))
	case c.Expiry == nil:
		return fmt.Errorf("the token never expires: only tokens that a pod has projected, or that were requested for a time, are taken")
	case !now.Before(c.Expiry.Time()):
		return fmt.Errorf("the token expired at %s", c.Expiry.Time().UTC().Format(time.RFC3339))
	case c.NotBefore != nil && now.Add(skew).Before(c.NotBefore.Time()):
		return fmt.Errorf("the token holds from %s on, which is later than now", c.NotBefore.Time().UTC().Format(time.RFC3339))
	}
	return nil
}

// subject reads the name by which Kubernetes knows a service account as a user.
func subject(user string) (namespace, name string, err error) {
	parts := strings.Split(user, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" || parts[2] == "" || parts[3] == "" {
		return "", "", fmt.Errorf("the token is of %.200q, which is no service account", user)
	}
	return parts[2], parts[3], nil
}

// account is who claims are about. What they say twice has to be the same.
func (c *claims) account() (Account, error) {
	namespace, name, err := subject(c.Subject)
	if err != nil {
		return Account{}, err
	}
	if k := c.Kubernetes; k.Namespace != namespace || k.ServiceAccount.Name != name {
		return Account{}, fmt.Errorf("the token is of %.200q and says that it is of %.200q in namespace %.200q", c.Subject, k.ServiceAccount.Name, k.Namespace)
	}
	a := Account{Namespace: namespace, Name: name, Expires: c.Expiry.Time()}
	if p := c.Kubernetes.Pod; p != nil {
		a.Pod = p.Name
	}
	return a, nil
}
