//go:build linux

package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/spiffetest"
)

// serverIdentity is the service that the server's certificate names.
const serverIdentity = "ns/istio-system/sa/meshc"

// authority is a CA that signs workload certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	t.Subject.CommonName = name
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, err
}

// issue signs a certificate for a SPIFFE ID, for an hour.
func (a *authority) issue(id string) (crt, key []byte, err error) {
	return a.issueUntil(id, time.Now().Add(time.Hour))
}

func (a *authority) issueUntil(id string, expires time.Time) (crt, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(id)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: expires, URIs: []*url.URL{u},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, k.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	kd, err := x509.MarshalECPrivateKey(k)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kd}), err
}

// swap puts files into a folder all at once, as kubelet and most agents do: they lie in a folder of their own, a link
// leads there and is replaced by rename, and the names that readers open are links through it.
func swap(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(dir, "..data-")
	if err != nil {
		return err
	}
	if err := os.Chmod(fresh, 0o755); err != nil { // proxies run as another user
		return err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(fresh, name), b, 0o644); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	link := filepath.Join(dir, "..next")
	if err := os.Symlink(filepath.Base(fresh), link); err != nil {
		return err
	}
	return os.Rename(link, filepath.Join(dir, "..data"))
}

// identities prepares the certificates of a lab whose proxies have identities: the server's, the one each proxy shows to
// the server, and the directory that the server hands workload certificates out of.
func (l *Lab) identities() (flags []string, err error) {
	if l.ca, err = newAuthority("lab"); err != nil {
		return nil, err
	}
	if flags, err = l.serverFlags(); err != nil {
		return nil, err
	}
	for _, w := range l.repo.workloads {
		id := fmt.Sprintf("ns/%s/sa/%s", w.Namespace, w.ServiceAccount)
		for _, to := range []string{l.ownFolder(w), l.secretFolder(w)} {
			if err := l.identify(to, l.ca, l.trustDomain(), id); err != nil {
				return nil, err
			}
		}
	}
	if !l.spec.Agent {
		flags = append(flags, "--secrets", filepath.Join(l.dir, "secrets"))
	}
	return append(flags, "--trust-domain", l.trustDomain(), "--poll", "100ms"), nil
}

// serverFlags gives the server its own identity: in files, or from an agent that knows no other.
func (l *Lab) serverFlags() ([]string, error) {
	dir := filepath.Join(l.dir, "server")
	if !l.spec.Agent {
		return []string{"--tls-cert", filepath.Join(dir, "tls.crt"), "--tls-key", filepath.Join(dir, "tls.key"), "--tls-ca", filepath.Join(dir, "ca.crt")},
			l.identify(dir, l.ca, l.trustDomain(), serverIdentity)
	}
	socket := dir + ".sock"
	var err error
	if l.serverAgent, err = spiffetest.Start(socket); err != nil {
		return nil, err
	}
	return []string{"--spiffe-socket", socket}, l.identifyServer(l.ca, l.ca)
}

// identifyServer has the server's agent hand it an identity, and roots for its callers.
func (l *Lab) identifyServer(by *authority, roots ...*authority) error {
	crt, key, err := by.issue("spiffe://" + l.trustDomain() + "/" + serverIdentity)
	if err != nil {
		return err
	}
	return l.serverAgent.Give(spiffetest.Identity{Certificate: crt, Key: key, Bundle: bundleOf(roots)})
}

func bundleOf(roots []*authority) (pem []byte) {
	for _, r := range roots {
		pem = append(pem, r.pem...)
	}
	return pem
}

func (l *Lab) trustDomain() string { return l.spec.TrustDomain }

// identify issues the files of an identity, trusting its own issuer and others.
func (l *Lab) identify(dir string, by *authority, trustDomain, id string, roots ...*authority) error {
	crt, key, err := by.issue("spiffe://" + trustDomain + "/" + id)
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		roots = []*authority{by}
	}
	return swap(dir, map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": bundleOf(roots)})
}

// ownFolder holds what the proxy shows to the server, secretFolder what the server hands out to it.
func (l *Lab) ownFolder(w *Workload) string { return filepath.Join(l.dir, "own", w.Name) }

func (l *Lab) secretFolder(w *Workload) string {
	return filepath.Join(l.dir, "secrets", w.Namespace, w.ServiceAccount)
}

func (l *Lab) clientTLS(w *Workload) *bootstrap.TLS {
	if l.ca == nil {
		return nil
	}
	dir := l.ownFolder(w)
	if l.spec.Agent {
		return &bootstrap.TLS{ServerSPIFFE: "spiffe://" + l.trustDomain() + "/" + serverIdentity}
	}
	return &bootstrap.TLS{CertificateFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), RootsFile: filepath.Join(dir, "ca.crt"),
		ServerSPIFFE: "spiffe://" + l.trustDomain() + "/" + serverIdentity}
}

// tunnel joins connections to a listener with the server, byte for byte: TLS goes from the proxy to the server itself.
func (l *Lab) tunnel(in net.Listener, dial func() (net.Conn, error)) {
	for {
		c, err := in.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			up, err := dial()
			if err != nil {
				return
			}
			defer func() { _ = up.Close() }()
			go func() {
				_, _ = io.Copy(up, c)
				_ = up.Close()
			}()
			_, _ = io.Copy(c, up)
		}()
	}
}
