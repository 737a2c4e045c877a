// Package secret finds what the names of SDS secrets lead to: in files (Dir), or in Secrets and ConfigMaps of an API server (API).
//
// Which files or objects a name leads to, package credential says; who may have what, the server. A source reads in
// the background, each secret by itself and from when it is first asked for until nobody has asked for a while. What it knows it
// says at once; what it does not know yet makes the proxy wait (Waiting), and the source calls back when it knows. So a
// file that hangs, or an API server that is away, keeps its own secrets as they were and nothing else.
//
// A secret is handed out as the message that Envoy takes (data.go). A version that is no good, as in the middle of a rotation when
// certificate and key do not fit each other, leaves the last good one in use; what is gone is handed out no more. No error
// quotes what was read.
package secret

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"golang.org/x/crypto/ocsp"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/internal/credential"
)

// Source has what the names of secrets lead to.
type Source interface {
	// Load returns the Secret message, or why there is none. It returns both where a version that is no good leaves the
	// last good one in use.
	Load(ref credential.Reference, name string) ([]byte, error)
	// Expiring lists the certificates that are handed out now, the soonest to expire first.
	Expiring() []Expiry
}

// Expiry is when a certificate ends, and where it was read.
type Expiry struct {
	From    string    `json:"from"`
	Expires time.Time `json:"expires"`
}

// soonest sorts expiries.
func soonest(list []Expiry) []Expiry {
	slices.SortFunc(list, func(a, b Expiry) int { return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.From, b.From)) })
	return list
}

// data is a secret by its keys, which are those of kubernetes.io/tls Secrets, or those that Istio's have besides.
type data map[string][]byte

// keyPair names a certificate and its key, or roots and the list of what they revoked.
type keyPair struct{ first, second string }

// certificateKeys and rootKeys are in Istio's order: the first that is there counts.
func certificateKeys() []keyPair { return []keyPair{{"cert", "key"}, {"tls.crt", "tls.key"}} }

func rootKeys() []keyPair { return []keyPair{{"cacert", "crl"}, {"ca.crt", "ca.crl"}} }

// stapleKey holds the OCSP response for the certificate in tls.crt.
const stapleKey = "tls.ocsp-staple"

var errKeysMissing = errors.New("the secret has not the keys for it")

// message makes the Secret message of the name: the roots, or the certificate, or the roots where there is nothing else.
func (d data) message(name string, ca bool) ([]byte, error) {
	onlyRoots := true
	for _, k := range certificateKeys() {
		onlyRoots = onlyRoots && len(d[k.first]) == 0
	}
	s, err := &tlsv3.Secret{Name: name}, errKeysMissing
	if !ca {
		err = d.certificate(s)
	}
	if ca || onlyRoots && errors.Is(err, errKeysMissing) {
		err = d.roots(s)
	}
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(s)
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}

// roots fills in a validation context.
func (d data) roots(s *tlsv3.Secret) error {
	for _, k := range rootKeys() {
		ca, crl := d[k.first], d[k.second]
		if len(ca) == 0 {
			continue
		}
		if !x509.NewCertPool().AppendCertsFromPEM(ca) {
			return fmt.Errorf("%s holds no certificate", k.first)
		}
		v := &tlsv3.CertificateValidationContext{TrustedCa: inline(ca)}
		if _, there := d[k.second]; there {
			if block, _ := pem.Decode(crl); block == nil || block.Type != "X509 CRL" {
				return fmt.Errorf("%s holds no list of revoked certificates", k.second)
			}
			v.Crl = inline(crl)
		}
		s.Type = &tlsv3.Secret_ValidationContext{ValidationContext: v}
		return nil
	}
	return errKeysMissing
}

// certificate fills in a certificate and its key, which have to fit each other.
func (d data) certificate(s *tlsv3.Secret) error {
	for _, k := range certificateKeys() {
		crt, key := d[k.first], d[k.second]
		if len(crt) == 0 || len(key) == 0 {
			continue
		}
		pair, err := tls.X509KeyPair(crt, key)
		if err != nil {
			return fmt.Errorf("%s and %s do not fit each other", k.first, k.second) // the cause could quote them
		}
		c := &tlsv3.TlsCertificate{CertificateChain: inline(crt), PrivateKey: inline(key)}
		if staple := d[stapleKey]; k.first == "tls.crt" && len(staple) > 0 {
			if _, err := ocsp.ParseResponseForCert(staple, pair.Leaf, nil); err != nil { // Envoy would refuse it, and all that comes with it
				return fmt.Errorf("%s is no OCSP response for the certificate in tls.crt", stapleKey)
			}
			c.OcspStaple = inline(staple)
		}
		s.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: c}
		return nil
	}
	return errKeysMissing
}

// kept is what was made of secrets, each until it changes. One that is there and no good leaves the last good one in use.
type kept map[string]loaded

type loaded struct {
	stamp   string
	bytes   []byte    // the Secret message
	expires time.Time // of the certificate in it, with its chain; zero: there is none
	err     error
}

// after is what is kept once a secret was read again: a version that is no good leaves the last good one.
func (l loaded) after(stamp string, b []byte, err error) loaded {
	now := loaded{stamp: stamp, bytes: b, err: err}
	if err != nil {
		now.bytes, now.expires = l.bytes, l.expires
		return now
	}
	now.expires = expiryOf(b)
	return now
}

// expiryOf is when the first certificate of a chain ends.
func expiryOf(message []byte) (first time.Time) {
	var s tlsv3.Secret
	if proto.Unmarshal(message, &s) != nil { // it was just written
		return first
	}
	chain := s.GetTlsCertificate().GetCertificateChain().GetInlineBytes()
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && (first.IsZero() || c.NotAfter.Before(first)) {
			first = c.NotAfter
		}
	}
	return first
}

func (k kept) get(key, stamp string, read func() ([]byte, error)) ([]byte, error) {
	old := k[key]
	if old.stamp == stamp {
		return old.bytes, old.err
	}
	b, err := read()
	now := old.after(stamp, b, err)
	k[key] = now
	return now.bytes, err
}
