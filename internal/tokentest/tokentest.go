// Package tokentest signs tokens of service accounts for tests, as an API server does.
package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Signer is an API server that signs.
type Signer struct {
	ID string // of its key

	t   testing.TB
	key crypto.Signer
}

// New makes a signer with a key of its own, which has the name that Kubernetes gives it.
func New(t testing.TB) *Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &Signer{t: t, key: key}
	sum := sha256.Sum256(s.Public())
	s.ID = base64.RawURLEncoding.EncodeToString(sum[:])
	return s
}

// Public is the public key as DER.
func (s *Signer) Public() []byte {
	s.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	return der
}

// JWKS is the key set of signers, as /openid/v1/jwks has it.
func JWKS(t testing.TB, signers ...*Signer) []byte {
	t.Helper()
	set := jose.JSONWebKeySet{}
	for _, s := range signers {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.key.Public(), KeyID: s.ID, Algorithm: "ES256", Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Claims are those of a token that kubelet projects into a pod.
func Claims(namespace, account, pod string, valid time.Duration) map[string]any {
	now := time.Now()
	in := map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": account, "uid": "1"}}
	if pod != "" {
		in["pod"] = map[string]any{"name": pod, "uid": "2"}
	}
	return map[string]any{"iss": "https://kubernetes.default.svc", "aud": []string{"istio-ca"}, "sub": "system:serviceaccount:" + namespace + ":" + account,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(valid).Unix(), "kubernetes.io": in}
}

// With changes some claims; nil takes one away.
func With(c map[string]any, change map[string]any) map[string]any {
	c = maps.Clone(c)
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// Sign makes a token of claims, signed by the key under its name.
func (s *Signer) Sign(c map[string]any) string {
	s.t.Helper()
	return Signed(s.t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.ID}}, c)
}

// SignUnnamed makes a token that does not say which key has signed it.
func (s *Signer) SignUnnamed(c map[string]any) string {
	s.t.Helper()
	return Signed(s.t, jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, c)
}

// Signed makes a token by any key.
func Signed(t testing.TB, key jose.SigningKey, c map[string]any) string {
	t.Helper()
	by, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(by).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
