package secrettest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
)

// Innocent returns texts that look like secrets and are none, by name.
func Innocent() map[string]string {
	must := func(b []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return b
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(nil, err)
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(nil, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(0), Subject: pkix.Name{CommonName: "example"}}
	cert := must(x509.CreateCertificate(rand.Reader, template, template, &r.PublicKey, r))
	request := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: template.Subject}, e))
	public := must(x509.MarshalPKIXPublicKey(&r.PublicKey))
	image := make([]byte, 3000)
	_, err = rand.Read(image)
	must(nil, err)
	copy(image, "\x89PNG\r\n\x1a\n")
	sum := sha256.Sum256(image)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	b64 := base64.StdEncoding.EncodeToString
	return map[string]string{
		"certificate":               block("CERTIFICATE", cert),
		"certificate in base64":     b64([]byte(block("CERTIFICATE", cert))),
		"certificate in DER":        string(cert),
		"certificate without lines": b64(cert),
		"request":                   block("CERTIFICATE REQUEST", request),
		"public key":                block("PUBLIC KEY", public),
		"public RSA key":            block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&r.PublicKey)),
		"public key without lines":  b64(public),
		"JWKS":                      `{"keys":[{"kty":"RSA","e":"AQAB","kid":"k1-2026-07","n":"` + base64.RawURLEncoding.EncodeToString(r.N.Bytes()) + `","x5c":["` + b64(cert) + `"]}]}`,
		"image":                     "data:image/png;base64," + b64(image),
		"bytes":                     string(image),
		"digest":                    "sha256:" + hex.EncodeToString(sum[:]),
		"digest in base64":          "sha256-" + b64(sum[:]),
		"text in base64":            b64([]byte(strings.Repeat("a page of text, as a response has it. ", 20))),
		"mention":                   "put it between -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----, or leave it",
		"pattern":                   `(?s).*-----BEGIN (RSA |EC )?PRIVATE KEY-----.*`,
		"code":                      `if body:find("-----BEGIN RSA PRIVATE KEY-----", 1, true) then handle:respond({[":status"] = "403"}, "") end`,
		"type":                      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"path":                      "clusters/Production/eu-west-1/Apps/Reviews-v2/VirtualServiceForTheReviewsOfBooks.yaml",
		"placeholder":               "Bearer %REQ(X-MY-TOKEN-HEADER-NAME)%",
		"challenge":                 `Bearer resource_metadata="https://example.com/.well-known/oauth-protected-resource"`,
		"scheme":                    "Basic reachability, and basic authentication-of-callers",
		"short":                     "Authorization: Bearer token",
		"selector":                  `{"kty": 1} d: 5s, p: 10, k: example-of-a-long-name`,
		"unsigned":                  "eyJhbGciOiJub25lIn0",
	}
}
