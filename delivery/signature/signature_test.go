package signature

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/internal/watchdog"
)

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pkcs8Block, Bytes: der})
}

func public(t testing.TB, k *Key) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der})
}

func newKeys(t testing.TB) map[string]*Key {
	t.Helper()
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	out := map[string]*Key{}
	for name, k := range map[string]any{"ed25519": ed, "ecdsa": ec} {
		key, err := ReadKey(pkcs8(t, k), nil)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = key
	}
	return out
}

const digestA, digestB = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// TestSignatures: a signature holds for its digest and key, and for none of its bytes changed.
func TestSignatures(t *testing.T) {
	for name, k := range newKeys(t) {
		text, err := k.Sign(Signed(digestA))
		if err != nil {
			t.Fatal(err)
		}
		p, err := ReadPublicKey(public(t, k))
		if err != nil {
			t.Fatal(err)
		}
		trust := Trusting(name, p)
		if v, err := trust.Verify(Subjects{SHA256: []string{digestA}}, [][]byte{text}); err != nil || v.Key != name {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := trust.Verify(Subjects{SHA256: []string{digestB}}, [][]byte{text}); err == nil || !strings.Contains(err.Error(), "another digest") {
			t.Errorf("%s: of another digest: %v", name, err)
		}
		if _, err := trust.Verify(Subjects{SHA256: []string{digestA}}, nil); err == nil || !strings.Contains(err.Error(), "is not signed") {
			t.Errorf("%s: unsigned: %v", name, err)
		}
		at := bytes.Index(text, []byte(`"payload":"`))
		for _, i := range []int{at + 30, at + 200, bytes.Index(text, []byte(`"sig":"`)) + 20} {
			altered := bytes.Clone(text)
			altered[i] ^= 1
			if _, err := trust.Verify(Subjects{SHA256: []string{digestA}}, [][]byte{altered}); err == nil {
				t.Errorf("%s: byte %d was changed, and the signature holds", name, i)
			}
		}
	}
}

// TestKeysRefused: a key that cannot sign or verify here is named for what it is.
func TestKeysRefused(t *testing.T) {
	long, _ := rsa.GenerateKey(rand.Reader, 2048)
	other, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	keys := newKeys(t)
	secret := pkcs8(t, keys["ecdsa"].signer)
	for want, text := range map[string][]byte{
		"of another kind (*rsa":        pkcs8(t, long),
		"of another kind (*ecdsa":      pkcs8(t, other),
		"is a public key":              public(t, keys["ed25519"]),
		"holds no PEM block":           []byte("x"),
		"more than one":                append(bytes.Clone(secret), secret...),
		"PEM block \"EC PRIVATE KEY\"": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte{1}}),
		"no PKCS#8 key":                pem.EncodeToMemory(&pem.Block{Type: pkcs8Block, Bytes: []byte{1}}),
		"encrypted key that cannot":    pem.EncodeToMemory(&pem.Block{Type: sigstoreBlock, Bytes: []byte("{")}),
		"more memory": pem.EncodeToMemory(&pem.Block{Type: sigstoreBlock, Bytes: []byte(
			`{"kdf":{"name":"scrypt","params":{"N":1073741824,"r":8,"p":1},"salt":"AAAA"},"cipher":{"name":"nacl/secretbox","nonce":"QAlRXWY6mUkIeSryfFue2pfTbqwmPCD0"},"ciphertext":"AAAA"}`)}),
	} {
		if _, err := ReadKey(text, func() ([]byte, error) { return nil, nil }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := ReadPublicKey(secret); err == nil || strings.Contains(err.Error(), string(secret)) {
		t.Errorf("a private key as a public one: %v", err)
	}
}

// TestEncryptedKey: a key as cosign generate-key-pair writes it opens with its password and no other.
func TestEncryptedKey(t *testing.T) {
	open := func(word string) error {
		k, err := ReadKey([]byte(cosignKey), func() ([]byte, error) { return []byte(word), nil })
		if err == nil {
			p, bad := ReadPublicKey([]byte(cosignPublic))
			if bad != nil || !p.Same(k.Public()) {
				err = errors.New("another key")
			}
		}
		return err
	}
	if err := open("pw"); err != nil {
		t.Error(err)
	}
	if err := open("other"); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("with another password: %v", err)
	}
}

// TestTrust: a key counts for what its entry says.
func TestTrust(t *testing.T) {
	k := newKeys(t)["ed25519"]
	stranger := newKeys(t)["ed25519"]
	entry := func(more string) (*Trust, error) {
		return parseTrust([]byte("keys:\n- name: release\n  file: release.pub\n"+more), func(string) ([]byte, error) { return public(t, k), nil })
	}
	sign := func(k *Key) []byte {
		text, err := k.Sign(Signed(digestA))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	of := Subjects{SHA256: []string{digestA}, Repository: "registry.example.com/team/mesh", TrustDomain: "cluster.local"}
	for _, c := range []struct{ more, says string }{
		{"", ""},
		{"  repositories: [registry.example.com/team/*]\n  trustDomains: [cluster.local]\n", ""},
		{"  repositories: [registry.example.com/*]\n", "may not sign for the repository"},
		{"  repositories: [file]\n", "may not sign for the repository"},
		{"  trustDomains: [example.org]\n", "trust domain cluster.local"},
		{"  notAfter: 2026-01-01T00:00:00Z\n", "was trusted until 2026-01-01T00:00:00Z"},
		{"  notBefore: 2999-01-01T00:00:00Z\n", "is trusted from"},
	} {
		trust, err := entry(c.more)
		if err != nil {
			t.Fatal(err)
		}
		trust.now = func() time.Time { return time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC) }
		_, err = trust.Verify(of, [][]byte{sign(stranger), sign(k)})
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %q", c.more, err, c.says)
		}
		if _, err := trust.Verify(of, [][]byte{sign(stranger)}); err == nil {
			t.Errorf("%q: the key of a stranger counts", c.more)
		}
	}
	for more, says := range map[string]string{
		"  key: x\n": "one of file and key", "  until: x\n": "until", "  notAfter: tomorrow\n": "is no time", "  repositories: [\"[\"]\n": "is no HOST", "  colour: red\n": "field colour not found",
		"---\nkeys: []\n": "more than one document",
	} {
		if _, err := entry(more); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "signature.") {
			t.Errorf("%q: %v, want %q", more, err, says)
		}
	}
	if _, err := parseTrust([]byte("keys: []"), nil); err == nil {
		t.Error("a file without keys is taken")
	}
}

func FuzzOpen(f *testing.F) {
	k := newKeys(f)["ecdsa"]
	text, err := k.Sign(Signed(digestA))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		defer watchdog.Watch(t)()
		if s, err := k.Public().Open(text); err == nil && !s.Covers(digestA) {
			t.Errorf("%q opens", text)
		}
	})
}

func FuzzParseTrust(f *testing.F) {
	f.Add([]byte("keys: [{name: release, file: release.pub, repositories: [example.com/*], trustDomains: [cluster.local], notBefore: 2026-01-01T00:00:00Z}]"))
	f.Add([]byte("keys:\n- name: a\n  key: |\n    " + strings.ReplaceAll(cosignPublic, "\n", "\n    ")))
	f.Fuzz(func(t *testing.T, text []byte) {
		defer watchdog.Watch(t)()
		trust, err := parseTrust(text, func(string) ([]byte, error) { return []byte(cosignPublic), nil })
		if err == nil && len(trust.keys) == 0 {
			t.Errorf("%q trusts nothing and is taken", text)
		}
	})
}

const cosignPublic = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETLBpefTC86WQD9U2JXkg3p1xdFWX
IWVPLBGcKP8nhXlTn8A2RgFQlgAKAcEEtlg7VV2qceiHOTjev8ycCzkLCw==
-----END PUBLIC KEY-----
`

// cosignKey was made for this test by cosign 3.1.3, with the password pw.
const cosignKey = `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJkdHpuVjVYU1dsc2JSUGNUNW5WMVRyZnVzZERyM2VF
SGhRWkNJMXlaWkxZPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJRQWxSWFdZNm1Va0llU3J5ZkZ1ZTJwZlRicXdtUENEMCJ9LCJj
aXBoZXJ0ZXh0IjoiQk02bnpOZHVRK3MxUVQ4b0puVHAxRS9mcHVxSW96cmp5ME9P
VjV2N0p5WnNhQUYxVzVqUnNrR0gwRmtHbDAzT3ZBaS8zMVoxZzYzeWlYaE8rWDNR
V2xsZEp4Z213bjhvQ085VzBIWERkcFkxZWZYdmQ2c29Bc3hpQUtpbUxJc3RqZkRB
emMyZmp2b3RMalJ3V3JSV1hJL1hWMks3dXMxRXZyYTF0eFF0MWYwOE9LcTRGTitk
QmVuamZ6Vk1PSzE2UytYbTdQMmV2SjNmMHc9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
`
