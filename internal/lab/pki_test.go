//go:build linux

package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pki is a certificate authority made for one test, and a folder of what it has issued, in the layout that meshc serve
// --secrets reads.
type pki struct {
	*authority
	t   *testing.T
	dir string // other users can read it: proxies and applications are such
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	dir, err := StateDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &pki{t: t, dir: dir}
	if p.authority, err = newAuthority("root of the lab"); err != nil {
		t.Fatal(err)
	}
	return p
}

// issueTo writes tls.crt, tls.key and ca.crt into a folder, for DNS names or SPIFFE IDs, and returns the folder.
func (p *pki) issueTo(folder string, names ...string) string {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if !strings.Contains(n, "://") {
			template.DNSNames = append(template.DNSNames, n)
			continue
		}
		u, err := url.Parse(n)
		if err != nil {
			p.t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, key.Public(), p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	dir := filepath.Join(p.dir, folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	for file, b := range map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"ca.crt":  p.pem,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	return dir
}

// client is the TLS side of a client that trusts the authority, with a certificate when a folder is named.
func (p *pki) client(server, folder string) *tls.Config {
	p.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(p.cert)
	c := &tls.Config{RootCAs: roots, ServerName: server}
	if folder != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(p.dir, folder, "tls.crt"), filepath.Join(p.dir, folder, "tls.key"))
		if err != nil {
			p.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}
