package token

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/tokentest"
)

// shown is a token that somebody tries.
type shown struct{ name, raw, why string }

// bad are tokens that prove nothing, by whichever verifier.
func bad(t testing.TB, s *tokentest.Signer) []shown {
	right := tokentest.Claims("shop", "web", "web-0", time.Hour)
	signed := func(change map[string]any) string { return s.Sign(tokentest.With(right, change)) }
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.Public()})
	payload, err := json.Marshal(right)
	if err != nil {
		t.Fatal(err)
	}
	part := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	return []shown{
		{"expired", signed(map[string]any{"exp": time.Now().Add(-time.Second).Unix()}), "expired"},
		{"not yet", signed(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), "later than now"},
		{"for ever", signed(map[string]any{"exp": nil}), "never expires"},
		{"another audience", signed(map[string]any{"aud": []string{"vault"}}), `audience "vault"`},
		{"no audience", signed(map[string]any{"aud": nil}), "audience"},
		{"another issuer", signed(map[string]any{"iss": "https://elsewhere"}), "issuer"},
		{"a user", signed(map[string]any{"sub": "admin"}), "no service account"},
		{"a node", signed(map[string]any{"sub": "system:node:n"}), "no service account"},
		{"another subject", signed(map[string]any{"sub": "system:serviceaccount:bank:web"}), "says that it is of"},
		{"no account in its claims", signed(map[string]any{"kubernetes.io": nil}), "says that it is of"},
		{"alg none", part([]byte(`{"alg":"none","kid":"`+s.ID+`"}`)) + "." + part(payload) + ".", "no token"},
		{"the public key as a secret", tokentest.Signed(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: public, KeyID: s.ID}}, right), "no token"},
		{"huge", signed(map[string]any{"x": strings.Repeat("a", limit.TokenBytes)}), "more than"},
		{"nothing", "", "no token"},
		{"a word", "admin-token", "no token"},
		{"cut", signed(nil)[:100], "no token"},
	}
}

// Keys vouch for what an API server has signed, now, for this server, and for nothing else; no error shows a token.
func TestKeys(t *testing.T) {
	s, other := tokentest.New(t), tokentest.New(t)
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, tokentest.JWKS(t, s))
	k := NewKeys(path, Wants{Audiences: []string{"istio-ca", "meshc"}, Issuers: []string{"https://kubernetes.default.svc"}})
	right := tokentest.Claims("shop", "web", "web-0", time.Hour)
	if _, err := k.Verify(t.Context(), s.Sign(right)); err == nil {
		t.Error("keys that were not read vouch")
	}
	if err := k.Follow(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	got, err := k.Verify(t.Context(), s.Sign(right))
	if err != nil || got.Namespace != "shop" || got.Name != "web" || got.Pod != "web-0" || time.Until(got.Expires) < time.Minute {
		t.Fatalf("%+v, %v", got, err)
	}
	stolen := *other
	stolen.ID = s.ID
	forged := strings.Split(s.Sign(right), ".")
	forged[1] = strings.Split(s.Sign(tokentest.Claims("bank", "root", "", time.Hour)), ".")[1]
	for _, c := range append(bad(t, s),
		shown{"another key", other.Sign(right), "none of the keys"},
		shown{"another key under the name of one", stolen.Sign(right), "signature"},
		shown{"no key named", s.SignUnnamed(right), "does not say which key"},
		shown{"claims of another token", strings.Join(forged, "."), "signature"},
	) {
		a, err := k.Verify(t.Context(), c.raw)
		if err == nil || !strings.Contains(err.Error(), c.why) || a.Name != "" {
			t.Errorf("%s: %+v, %v", c.name, a, err)
			continue
		}
		for _, part := range strings.Split(c.raw, ".") {
			if len(part) > 20 && strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error shows the token: %v", c.name, err)
			}
		}
	}
	write(t, path, tokentest.JWKS(t, other))
	if err := k.refresh(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Verify(t.Context(), s.Sign(right)); err == nil {
		t.Error("a key that was taken away vouches")
	}
	if err := k.Current().Vouches(got); err == nil {
		t.Error("a key that was taken away vouches for who was let in by it")
	}
	write(t, path, []byte("{"))
	if err := k.refresh(); err == nil {
		t.Error("half a file is read")
	}
	if _, err := k.Verify(t.Context(), other.Sign(right)); err != nil || k.Status().Error == "" {
		t.Errorf("the keys before are not in use: %v, %q", err, k.Status().Error)
	}
}

// Key files hold public keys, of the kinds that API servers sign with, each under one name.
func TestKeyFiles(t *testing.T) {
	s, other := tokentest.New(t), tokentest.New(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	short, err := x509.MarshalPKIXPublicKey(small.Public())
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	twin := *other
	twin.ID = s.ID
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: small, KeyID: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	symmetric, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		why   string // "": it is taken
	}{
		{"a key set", map[string][]byte{"jwks": tokentest.JWKS(t, s)}, ""},
		{"PEM", map[string][]byte{"sa.pub": block("PUBLIC KEY", s.Public())}, ""},
		{"several files, one key twice", map[string][]byte{"a": tokentest.JWKS(t, s), "b": block("PUBLIC KEY", s.Public()), "c": tokentest.JWKS(t, other), "..data": []byte("of the volume")}, ""},
		{"no file", nil, "no key"},
		{"no key", map[string][]byte{"a": []byte(`{"keys":[]}`)}, "no key"},
		{"a private key", map[string][]byte{"a": private}, "no public key"},
		{"a secret", map[string][]byte{"a": symmetric}, "no public key"},
		{"a private key in PEM", map[string][]byte{"a": block("PRIVATE KEY", []byte("x"))}, "only public keys"},
		{"a short key", map[string][]byte{"a": block("PUBLIC KEY", short)}, "too short"},
		{"no DER", map[string][]byte{"a": block("PUBLIC KEY", []byte("x"))}, "asn1"},
		{"two keys of one name", map[string][]byte{"a": tokentest.JWKS(t, s), "b": tokentest.JWKS(t, &twin)}, "two keys"},
		{"nonsense", map[string][]byte{"a": []byte("hello")}, "neither"},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			write(t, filepath.Join(dir, name), text)
		}
		k := NewKeys(dir, Wants{Audiences: []string{"istio-ca"}})
		err := k.Follow(t.Context(), time.Hour)
		if c.why != "" {
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if _, err := k.Verify(t.Context(), s.Sign(tokentest.Claims("shop", "web", "", time.Hour))); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// reviewer is an API server that takes the tokens of a signer.
type reviewer struct {
	keys  *Keys
	asked int
}

func (r *reviewer) ReviewToken(ctx context.Context, raw string, audiences []string) (Reviewed, error) {
	r.asked++
	out := Reviewed{Error: "invalid bearer token"}
	if a, err := r.keys.Verify(ctx, raw); err == nil {
		out = Reviewed{Authenticated: true, User: "system:serviceaccount:" + a.Namespace + ":" + a.Name, Audiences: audiences, Pod: a.Pod}
	}
	return out, nil
}

// The API server decides, and is asked only about what could be true.
func TestReview(t *testing.T) {
	s, other := tokentest.New(t), tokentest.New(t)
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, tokentest.JWKS(t, s))
	w := Wants{Audiences: []string{"istio-ca"}, Issuers: []string{"https://kubernetes.default.svc"}}
	k := NewKeys(path, w)
	if err := k.Follow(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	api := &reviewer{keys: k}
	r := NewReview(api, w)
	right := s.Sign(tokentest.Claims("shop", "web", "web-0", time.Hour))
	got, err := r.Verify(t.Context(), right)
	if err != nil || got.Namespace != "shop" || got.Name != "web" || got.Pod != "web-0" || time.Until(got.Expires) < time.Minute {
		t.Fatalf("%+v, %v", got, err)
	}
	api.asked = 0
	for _, c := range bad(t, s) {
		if a, err := r.Verify(t.Context(), c.raw); err == nil || !strings.Contains(err.Error(), c.why) || a.Name != "" {
			t.Errorf("%s: %+v, %v", c.name, a, err)
		}
	}
	if api.asked != 0 {
		t.Errorf("the API server is asked %d times about what cannot be true", api.asked)
	}
	if _, err := r.Verify(t.Context(), other.Sign(tokentest.Claims("shop", "web", "web-0", time.Hour))); err == nil || !strings.Contains(err.Error(), "does not take") {
		t.Errorf("another key: %v", err)
	}
	for _, c := range []struct {
		why  string
		says func(*Reviewed) error
	}{
		{"could not be asked", func(*Reviewed) error { return errors.New("away") }},
		{"does not take the token: the pod is gone", func(r *Reviewed) error { *r = Reviewed{Error: "the pod is gone"}; return nil }},
		{"does not tell audiences", func(r *Reviewed) error { r.Audiences = nil; return nil }},
		{"does not tell audiences", func(r *Reviewed) error { r.Audiences = []string{"vault"}; return nil }},
		{"no service account", func(r *Reviewed) error { r.User = "admin"; return nil }},
	} {
		r := NewReview(answering{api, c.says}, w)
		if _, err := r.Verify(t.Context(), right); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v, want %q", err, c.why)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	full := NewReview(api, w)
	for range reviewsAtATime {
		full.room <- struct{}{}
	}
	if _, err := full.Verify(gone, right); !errors.Is(err, context.Canceled) {
		t.Errorf("beyond the bound: %v", err)
	}
}

// answering changes what an API server answers.
type answering struct {
	*reviewer
	says func(*Reviewed) error
}

func (a answering) ReviewToken(ctx context.Context, raw string, audiences []string) (Reviewed, error) {
	out, err := a.reviewer.ReviewToken(ctx, raw, audiences)
	if err == nil {
		err = a.says(&out)
	}
	return out, err
}

// Whatever is shown gives an account of the signer or an error.
func FuzzToken(f *testing.F) {
	s := tokentest.New(f)
	path := filepath.Join(f.TempDir(), "jwks.json")
	write(f, path, tokentest.JWKS(f, s))
	k := NewKeys(path, Wants{Audiences: []string{"istio-ca"}})
	if err := k.Follow(f.Context(), time.Hour); err != nil {
		f.Fatal(err)
	}
	right := s.Sign(tokentest.Claims("shop", "web", "web-0", time.Hour))
	f.Add(right)
	for _, c := range bad(f, s) {
		f.Add(c.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := k.Verify(t.Context(), raw)
		if (err == nil) != (a.Name != "") || err == nil && (a.Namespace != "shop" || a.Name != "web") {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// Whatever is in a file of keys gives public keys with names, or an error.
func FuzzKeys(f *testing.F) {
	s := tokentest.New(f)
	f.Add(tokentest.JWKS(f, s))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.Public()}))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA","kid":"x"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := readKeys(text)
		if err == nil && slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return k.KeyID == "" || !k.IsPublic() || signs(k.Key) != nil }) {
			t.Errorf("%+v", keys)
		}
	})
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
