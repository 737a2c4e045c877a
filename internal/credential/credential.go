// Package credential knows where the secrets are that a proxy's configuration names. A name of SDS, asked for by a proxy, leads
// to a Reference: a folder of a directory of secrets,
//
//	NAMESPACE/SERVICE-ACCOUNT/tls.crt tls.key ca.crt       default, ROOTCA
//	NAMESPACE/kubernetes/NAME/tls.crt tls.key ca.crt       kubernetes://NAME, kubernetes://NAME-cacert
//	NAMESPACE/configmap/NAME/ca.crt                        configmap://NAME
//
// or files on the proxy's own file system. A name leads to what is the workload's own or its namespace's, and nowhere else; no
// part of a name can leave its folder.
package credential

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
)

// Files of a folder with a secret.
const (
	CertificateFile = "tls.crt"
	KeyFile         = "tls.key"
	RootsFile       = "ca.crt"
	RevokedFile     = "ca.crl"
)

// defaultSystem are the roots of the proxy's operating system, where Envoy's images have them.
const defaultSystem = "/etc/ssl/certs/ca-certificates.crt"

// Holders of credentials, which are the names of folders beside those of service accounts.
const (
	HolderSecret    = "kubernetes"
	HolderConfigMap = "configmap"
)

// Reference is what an SDS name asks for: a secret that is stored somewhere, or files of the proxy.
type Reference struct {
	Namespace string
	Holder    string   // "": of service accounts; else HolderSecret or HolderConfigMap
	Names     []string // of a service account, or of Secrets or ConfigMaps: the first that is there counts
	CA        bool     // its roots; false: its certificate, or its roots where it has nothing else

	Cert, Key, Roots, Revoked string // paths on the proxy's own file system
}

// Folders are where a directory of secrets has them.
func (r Reference) Folders() []string {
	out := make([]string, 0, len(r.Names))
	for _, n := range r.Names {
		out = append(out, path.Join(r.Namespace, r.Holder, n))
	}
	return out
}

// ErrNoName says that a name of SDS has none of the known forms.
var ErrNoName = errors.New("this server has no secrets by such a name; it knows default, ROOTCA, kubernetes://NAME, configmap://NAME, file-cert:CERTIFICATE~KEY and file-root:CA")

var nameForm = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,250}[a-z0-9])?$`)

// plain is what namespaces, service accounts and secrets may be called; it cannot leave a folder.
func plain(s string) bool { return nameForm.MatchString(s) && !strings.Contains(s, "..") }

// Own tells whether the name is the workload's own identity, which it may have whatever its configuration says.
func Own(name string) bool { return name == names.OwnCertificate || name == names.OwnRoots }

// Refer reads an SDS name as a proxy with the service account means it.
func Refer(n bundle.Node, account, name string) (Reference, error) {
	switch s := names.ParseSecret(name); s.Kind {
	case names.OwnSecret, names.OwnRootsSecret:
		return identityRef(n, account, s.Kind == names.OwnRootsSecret)
	case names.FileSecret:
		if s.Cert == "" {
			return Reference{}, errors.New("the name has not the form file-cert:CERTIFICATE~KEY")
		}
		return Reference{Cert: s.Cert, Key: s.Key}, nil
	case names.FileRootsSecret:
		ca := s.Roots
		if ca == names.SystemRoots {
			ca = cmp.Or(n.SystemRoots, defaultSystem)
		}
		return Reference{Roots: ca}, nil
	case names.StoredSecret, names.StoredRoots:
		return storedRef(n, s)
	case names.UnknownSecret:
	}
	return Reference{}, ErrNoName
}

// identityRef is the workload's identity: files that the proxy says it has, else those of its folder here.
func identityRef(n bundle.Node, account string, ca bool) (Reference, error) {
	switch {
	case ca && n.IdentityRoots != "":
		return Reference{Roots: n.IdentityRoots}, nil
	case !ca && n.IdentityCert != "":
		return Reference{Cert: n.IdentityCert, Key: n.IdentityKey}, nil
	case !plain(n.Namespace) || !plain(account):
		return Reference{}, fmt.Errorf("%.80q and %.80q are not a namespace and a service account", n.Namespace, account)
	case account == HolderSecret || account == HolderConfigMap:
		return Reference{}, fmt.Errorf("a service account called %s has no folder of secrets: the name is that of the folder of credentials", account)
	}
	return Reference{Namespace: n.Namespace, Names: []string{account}, CA: ca}, nil
}

// storedRef is a credential by name, in the proxy's own namespace only.
func storedRef(n bundle.Node, s names.Secret) (Reference, error) {
	if s.Elsewhere && s.Namespace != n.Namespace {
		return Reference{}, fmt.Errorf("the secret is one of namespace %.80q, and the proxy's is %.80q", s.Namespace, n.Namespace)
	}
	if !plain(n.Namespace) || !plain(s.FullName()) || !plain(s.Name) {
		return Reference{}, ErrNoName
	}
	switch {
	case s.Kind == names.StoredRoots:
		return Reference{Namespace: n.Namespace, Holder: HolderConfigMap, Names: []string{s.Name}, CA: true}, nil
	case s.CA:
		return Reference{Namespace: n.Namespace, Holder: HolderSecret, Names: []string{s.FullName(), s.Name}, CA: true}, nil
	}
	return Reference{Namespace: n.Namespace, Holder: HolderSecret, Names: []string{s.Name}}, nil
}

// Remote is the Secret (envoy.extensions.transport_sockets.tls.v3) for files of the proxy; nil: the reference is to a stored secret. It watches the folder, so that files which are swapped there by rename
// are read again, certificate and key together.
func (r *Reference) Remote(name string) *tlsv3.Secret {
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
	case r.Cert != "":
		s.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: file(r.Cert), PrivateKey: file(r.Key), WatchedDirectory: watched(r.Cert, r.Key)}}
	case r.Roots != "":
		s.Type = &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: file(r.Roots), WatchedDirectory: watched(r.Roots, r.Roots)}}
		if r.Revoked != "" {
			s.GetValidationContext().Crl = file(r.Revoked)
		}
	default:
		return nil
	}
	return s
}
