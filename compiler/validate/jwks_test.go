package validate

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// TestRSAKeys: each was tried with Envoy 1.40, which refuses the listener around those that are refused here.
func TestRSAKeys(t *testing.T) {
	modulus := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.Add(n, big.NewInt(12345))
	}
	even := new(big.Int).Add(modulus(2048), big.NewInt(1))
	for name, c := range map[string]struct {
		n    *big.Int
		e    int64
		want string
	}{
		"usual":         {modulus(2048), 65537, ""},
		"three":         {modulus(2048), 3, ""},
		"one":           {modulus(2048), 1, "exponent"},
		"five":          {modulus(2048), 5, "exponent"},
		"seventeen":     {modulus(2048), 17, "exponent"},
		"even":          {even, 65537, "even"},
		"511 bits":      {modulus(511), 65537, "511 bits"},
		"512 bits":      {modulus(512), 65537, ""},
		"16,384 bits":   {modulus(16384), 65537, ""},
		"16,385 bits":   {modulus(16385), 65537, "16385 bits"},
		"no key at all": {big.NewInt(65537), 65537, "17 bits"},
	} {
		enc := base64.RawURLEncoding.EncodeToString
		err := JWKS(fmt.Sprintf(`{"keys":[{"kty":"RSA","n":%q,"e":%q}]}`, enc(c.n.Bytes()), enc(big.NewInt(c.e).Bytes())))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
