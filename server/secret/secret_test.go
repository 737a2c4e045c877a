package secret

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/internal/credential"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/watchdog"
)

func secretObj(ns, name string, kind corev1.SecretType, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Type: kind, Data: data}
}

func configMapObj(ns, name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: data}
}

// selfSigned makes a certificate, which can be a root as well, and its key.
func selfSigned(t testing.TB) (crt, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kd, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kd})
}

func TestCredentialsOfObjects(t *testing.T) {
	ca, _ := selfSigned(t)
	crt, key := selfSigned(t)
	other, _ := selfSigned(t)
	pair := map[string][]byte{"tls.crt": crt, "tls.key": key}
	with := func(kv ...any) map[string][]byte {
		m := maps.Clone(pair)
		for i := 0; i < len(kv); i += 2 {
			m[kv[i].(string)] = kv[i+1].([]byte)
		}
		return m
	}
	for name, c := range map[string]struct {
		kind corev1.SecretType
		data map[string][]byte
		ca   bool
		want string // part of the error; "": it is good
	}{
		"tls":                      {corev1.SecretTypeTLS, pair, false, ""},
		"any other type":           {"example.com/tls", pair, false, ""},
		"generic before tls":       {"", with("cert", other, "key", key), false, "cert and key do not fit"},
		"half of generic":          {"", with("cert", other), false, ""},
		"empty generic":            {"", with("cert", []byte{}, "key", []byte{}), false, ""},
		"no roots":                 {corev1.SecretTypeTLS, pair, true, `has neither cacert nor ca.crt, or it is empty; its keys are ["tls.crt" "tls.key"]`},
		"roots":                    {corev1.SecretTypeTLS, with("ca.crt", ca), true, ""},
		"roots that are none":      {corev1.SecretTypeTLS, with("ca.crt", key), true, "ca.crt holds no certificate"},
		"revoked list that is no":  {corev1.SecretTypeTLS, with("ca.crt", ca, "ca.crl", key), true, "ca.crl holds no list"},
		"staple that is none":      {corev1.SecretTypeTLS, with("tls.ocsp-staple", key), false, "tls.ocsp-staple is no OCSP response"},
		"nothing":                  {"", nil, false, "its keys are []"},
		"other keys":               {"", map[string][]byte{"a": nil, "b": nil, "c": nil, "d": nil, "e": nil, "f": nil}, false, `["a" "b" "c" "d" "e" and 1 more]`},
		"docker":                   {corev1.SecretTypeDockerConfigJson, pair, false, "is of type kubernetes.io/dockerconfigjson, which is not for TLS"},
		"token of service account": {corev1.SecretTypeServiceAccountToken, with("ca.crt", ca), true, "is of type kubernetes.io/service-account-token"},
		"helm":                     {"helm.sh/release.v1", pair, false, "is of type helm.sh/release.v1"},
		"too long":                 {"", with("tls.crt", make([]byte, limit.SecretBytes+1)), false, "holds more than"},
	} {
		o := readSecret(secretObj("default", "web", c.kind, c.data))
		w := &objectWatch{stored: o}
		b, err := w.message(object{resourceSecrets, "default", "web"}, credential.Reference{CA: c.ca}, "kubernetes://web")
		if (err == nil) != (c.want == "" && b != nil) || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "Secret web of namespace default")) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Whatever an object holds, what is handed out is what it holds, Envoy can read it, and no error shows any of it.
func FuzzKubernetesSecret(f *testing.F) {
	ca, _ := selfSigned(f)
	crt, key := selfSigned(f)
	f.Add("kubernetes.io/tls", "tls.crt", crt, "tls.key", key, "ca.crt", ca)
	f.Add("Opaque", "cert", crt, "key", key, "cacert", ca)
	f.Add("", "tls.crt", key, "tls.key", crt, "tls.ocsp-staple", []byte{48})
	f.Add("", "cacert", ca, "crl", []byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), "\xff\n", key)
	f.Fuzz(func(t *testing.T, kind, k1 string, v1 []byte, k2 string, v2 []byte, k3 string, v3 []byte) {
		defer watchdog.Watch(t)()
		data := map[string][]byte{k1: v1, k2: v2, k3: v3}
		text := map[string]string{}
		for k, v := range data {
			text[k] = string(v)
		}
		for _, c := range []stored{readSecret(secretObj("ns", "n", corev1.SecretType(kind), data)), readConfigMap(configMapObj("ns", "n", text))} {
			for _, roots := range []bool{false, true} {
				w := &objectWatch{stored: c}
				b, err := w.message(object{resourceSecrets, "ns", "n"}, credential.Reference{CA: roots}, "kubernetes://n")
				if err != nil {
					for _, v := range data {
						if len(v) > 24 && strings.Contains(err.Error(), string(v)) && !strings.Contains(k1+k2+k3+kind, string(v)) {
							t.Errorf("the error quotes a value: %v", err)
						}
					}
					continue
				}
				s := &tlsv3.Secret{}
				if err := proto.Unmarshal(b, s); err != nil || s.ValidateAll() != nil {
					t.Fatalf("%v %v", err, s.ValidateAll())
				}
				for _, held := range []*corev3.DataSource{s.GetTlsCertificate().GetCertificateChain(), s.GetTlsCertificate().GetPrivateKey(), s.GetValidationContext().GetTrustedCa(), s.GetValidationContext().GetCrl()} {
					if v := held.GetInlineBytes(); v != nil && !bytes.Equal(v, v1) && !bytes.Equal(v, v2) && !bytes.Equal(v, v3) {
						t.Error("what is handed out is in no value")
					}
				}
				if roots && s.GetTlsCertificate() != nil {
					t.Error("a key, where roots were asked for")
				}
			}
		}
	})
}

// Files that are no certificates are refused, and what is handed out is what was read.
func FuzzSecretFiles(f *testing.F) {
	ca, _ := selfSigned(f)
	crt, key := selfSigned(f)
	f.Add(crt, key, ca, []byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"))
	f.Add(key, crt, []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte{})
	f.Fuzz(func(t *testing.T, crt, key, roots, crl []byte) {
		defer watchdog.Watch(t)()
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "ns", "sa"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": roots, "ca.crl": crl} {
			if err := os.WriteFile(filepath.Join(dir, "ns", "sa", name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		root, err := OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = root.Close() }()
		at, err := readFolder(root, "ns/sa")
		if err != nil {
			t.Fatal(err)
		}
		s := &tlsv3.Secret{}
		if err := at.certificate(s); err == nil && string(s.GetTlsCertificate().GetPrivateKey().GetInlineBytes()) != string(key) {
			t.Error("another key")
		} else if err != nil && len(key) > 8 && strings.Contains(err.Error(), string(key)) {
			t.Errorf("the error quotes the key: %v", err)
		}
		if err := at.roots(s); err == nil && string(s.GetValidationContext().GetTrustedCa().GetInlineBytes()) != string(roots) {
			t.Error("other roots")
		}
	})
}
