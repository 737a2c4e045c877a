package validate

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/meshc/meshc/internal/secret"
)

// JWKS tells what is wrong with a key set, as text. Private and shared keys are refused: they would end up in every bundle.
// Envoy refuses the whole listener for a set of which it can read no key, so every key must be one that it can read.
func JWKS(s string) error {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(s), &set); err != nil {
		return fmt.Errorf("it is no JSON Web Key Set: %w", err)
	}
	if len(set.Keys) == 0 {
		return errors.New("it has no keys")
	}
	for i, k := range set.Keys {
		if err := checkJWK(k); err != nil {
			return fmt.Errorf("key %d %w", i, err)
		}
	}
	return nil
}

func checkJWK(k map[string]any) error {
	kind, _ := k["kty"].(string)
	if secret.PrivateJWK(k) {
		return errors.New("is secret, not public")
	}
	for _, name := range [...]string{"kid", "alg", "crv"} {
		if _, text := k[name].(string); k[name] != nil && !text {
			return fmt.Errorf("has a %s that is no string", name)
		}
	}
	switch kind {
	case "RSA":
		return checkRSA(k)
	case "EC":
		return checkEC(k)
	case "OKP":
		if k["crv"] != "Ed25519" {
			return fmt.Errorf("has the curve %v, and Envoy knows Ed25519 only", k["crv"])
		}
		x, err := jwkNumber(k, "x")
		if err == nil && len(x) != 32 {
			err = fmt.Errorf("has an x of %d bytes, not 32", len(x))
		}
		return err
	}
	return fmt.Errorf("has kty %q, not RSA, EC or OKP", kind)
}

// Sizes of an RSA modulus that BoringSSL takes.
const (
	minModulus = 512
	maxModulus = 16384
)

// checkRSA wants what Envoy's library of tokens (jwt_verify_lib) and BoringSSL below it take: the two exponents in use, and
// an odd modulus of a size that is one.
func checkRSA(k map[string]any) error {
	var of [2]*big.Int
	for i, name := range [...]string{"n", "e"} {
		b, err := jwkNumber(k, name)
		if err != nil {
			return err
		}
		of[i] = new(big.Int).SetBytes(b)
	}
	n, e := of[0], of[1]
	switch {
	case e.Cmp(big.NewInt(3)) != 0 && e.Cmp(big.NewInt(65537)) != 0:
		return errors.New("has another exponent e than 3 or 65537, which are those that Envoy takes")
	case n.Bit(0) == 0:
		return errors.New("has an even modulus n, so it is no RSA key")
	case n.BitLen() < minModulus || n.BitLen() > maxModulus:
		return fmt.Errorf("has a modulus n of %d bits, and Envoy takes %d to %d", n.BitLen(), minModulus, maxModulus)
	}
	return nil
}

// checkEC wants a point on one of the curves that Envoy knows.
func checkEC(k map[string]any) error {
	crv, _ := k["crv"].(string)
	curves := map[string]struct {
		curve ecdh.Curve
		size  int
	}{"P-256": {ecdh.P256(), 32}, "P-384": {ecdh.P384(), 48}, "P-521": {ecdh.P521(), 66}}
	c, ok := curves[crv]
	if !ok {
		return fmt.Errorf("has the curve %q, not P-256, P-384 or P-521", crv)
	}
	point := []byte{4} // both coordinates follow
	for _, name := range [...]string{"x", "y"} {
		v, err := jwkNumber(k, name)
		if err != nil {
			return err
		}
		if len(v) > c.size {
			return fmt.Errorf("has an %s of %d bytes, but %s has %d", name, len(v), crv, c.size)
		}
		point = append(append(point, make([]byte, c.size-len(v))...), v...)
	}
	if _, err := c.curve.NewPublicKey(point); err != nil {
		return fmt.Errorf("is no point of the curve %s", crv)
	}
	return nil
}

// jwkNumber reads a number of a key, in base64url without padding or with it.
func jwkNumber(k map[string]any, name string) ([]byte, error) {
	s, ok := k[name].(string)
	if !ok || s == "" {
		return nil, fmt.Errorf("lacks %s", name)
	}
	i := slices.Index([]byte(s), '=')
	if i >= 0 {
		s = s[:i]
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("has an %s that is not base64url", name)
	}
	return b, nil
}
