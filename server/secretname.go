package server

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/server/ads"
)

// defaultSystem are the roots of the proxy's operating system, where Envoy's images have them.
const defaultSystem = "/etc/ssl/certs/ca-certificates.crt"

// Holders of credentials, which are the names of folders beside those of service accounts.
const holderSecret, holderConfigMap = "kubernetes", "configmap"

// secretRef is what an SDS name asks for: a secret here, or files there.
type secretRef struct {
	namespace string
	holder    string   // "": of service accounts; else holderSecret or holderConfigMap
	names     []string // of a service account, or of Secrets or ConfigMaps: the first that is there counts
	ca        bool     // its roots; false: its certificate, or its roots where it has nothing else

	cert, key, roots string // paths on the proxy's own file system
}

// folders are where a directory of secrets has them.
func (r secretRef) folders() []string {
	out := make([]string, 0, len(r.names))
	for _, n := range r.names {
		out = append(out, path.Join(r.namespace, r.holder, n))
	}
	return out
}

var errNoName = errors.New("this server has no secrets by such a name; it knows default, ROOTCA, kubernetes://NAME, configmap://NAME, file-cert:CERTIFICATE~KEY and file-root:CA")

var nameForm = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,250}[a-z0-9])?$`)

// plainName is what namespaces, service accounts and secrets may be called; it cannot leave a folder.
func plainName(s string) bool { return nameForm.MatchString(s) && !strings.Contains(s, "..") }

// own tells whether the name is the workload's own identity, which it may have whatever its configuration says.
func own(name string) bool { return name == names.OwnCertificate || name == names.OwnRoots }

// refer reads an SDS name as a proxy with the service account means it.
func refer(n bundle.Node, account, name string) (secretRef, error) {
	switch s := names.ParseSecret(name); s.Kind {
	case names.OwnSecret, names.OwnRootsSecret:
		return identityRef(n, account, s.Kind == names.OwnRootsSecret)
	case names.FileSecret:
		if s.Cert == "" {
			return secretRef{}, errors.New("the name has not the form file-cert:CERTIFICATE~KEY")
		}
		return secretRef{cert: s.Cert, key: s.Key}, nil
	case names.FileRootsSecret:
		ca := s.Roots
		if ca == names.SystemRoots {
			ca = cmp.Or(n.SystemRoots, defaultSystem)
		}
		return secretRef{roots: ca}, nil
	case names.StoredSecret, names.StoredRoots:
		return storedRef(n, s)
	}
	return secretRef{}, errNoName
}

// identityRef is the workload's identity: files that the proxy says it has, else those of its folder here.
func identityRef(n bundle.Node, account string, ca bool) (secretRef, error) {
	switch {
	case ca && n.IdentityRoots != "":
		return secretRef{roots: n.IdentityRoots}, nil
	case !ca && n.IdentityCert != "":
		return secretRef{cert: n.IdentityCert, key: n.IdentityKey}, nil
	case !plainName(n.Namespace) || !plainName(account):
		return secretRef{}, fmt.Errorf("%.80q and %.80q are not a namespace and a service account", n.Namespace, account)
	case account == holderSecret || account == holderConfigMap:
		return secretRef{}, fmt.Errorf("a service account called %s has no folder of secrets: the name is that of the folder of credentials", account)
	}
	return secretRef{namespace: n.Namespace, names: []string{account}, ca: ca}, nil
}

// storedRef is a credential by name, in the proxy's own namespace only.
func storedRef(n bundle.Node, s names.Secret) (secretRef, error) {
	if s.Elsewhere && s.Namespace != n.Namespace {
		return secretRef{}, fmt.Errorf("the secret is one of namespace %.80q, and the proxy's is %.80q", s.Namespace, n.Namespace)
	}
	if !plainName(n.Namespace) || !plainName(s.FullName()) || !plainName(s.Name) {
		return secretRef{}, errNoName
	}
	switch {
	case s.Kind == names.StoredRoots:
		return secretRef{namespace: n.Namespace, holder: holderConfigMap, names: []string{s.Name}, ca: true}, nil
	case s.CA:
		return secretRef{namespace: n.Namespace, holder: holderSecret, names: []string{s.FullName(), s.Name}, ca: true}, nil
	}
	return secretRef{namespace: n.Namespace, holder: holderSecret, names: []string{s.Name}}, nil
}

// remote is the Secret for files of the proxy. It watches the folder, so that files which are swapped there by rename
// are read again, certificate and key together.
func (r *secretRef) remote(name string) *tlsv3.Secret {
	file := func(p string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: p}}
	}
	watched := func(a, b string) *corev3.WatchedDirectory {
		if path.Dir(a) != path.Dir(b) || !path.IsAbs(a) {
			return nil // Envoy watches each file by itself
		}
		return &corev3.WatchedDirectory{Path: path.Dir(a)}
	}
	s := &tlsv3.Secret{Name: name}
	switch {
	case r.cert != "":
		s.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: file(r.cert), PrivateKey: file(r.key), WatchedDirectory: watched(r.cert, r.key)}}
	case r.roots != "":
		s.Type = &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: file(r.roots), WatchedDirectory: watched(r.roots, r.roots)}}
	default:
		return nil
	}
	return s
}

// mentions tells whether the configuration of the class names the secret: only then may its proxies have it.
func (g *generation) mentions(c *bundle.Class, name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	known, ok := g.secrets[c]
	if !ok {
		known = map[string]bool{}
		for _, r := range c.Resources() {
			mentioned(r.Bytes, known)
		}
		g.secrets[c] = known
	}
	return known[name]
}

// mentioned collects the strings of an encoded message that have the form of an SDS name.
func mentioned(b []byte, known map[string]bool) {
	if !names.MayNameSecret(b) {
		return
	}
	ads.EachText(b, 0, func(v []byte) bool {
		if s := string(v); names.ParseSecret(s).Kind != names.UnknownSecret && !own(s) {
			known[s] = true
			return false
		}
		return names.MayNameSecret(v)
	})
}
