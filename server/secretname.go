package server

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshc/meshc/compiler/bundle"
)

// SDS names. They are Istio's.
const (
	nameIdentity   = "default"                            // certificate and key of the workload
	nameRoots      = "ROOTCA"                             // whom it trusts
	prefixFileCert = "file-cert:"                         // CERT~KEY on the proxy's own file system
	prefixFileRoot = "file-root:"                         // CA on the proxy's own file system
	systemRoots    = "system"                             // file-root: the roots of the proxy's operating system
	schemeConfig   = "configmap"                          // configmap://NAME, roots only
	suffixCA       = "-cacert"                            // of kubernetes://NAME: the roots for client certificates
	defaultSystem  = "/etc/ssl/certs/ca-certificates.crt" // where Envoy's images have them
)

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
func own(name string) bool { return name == nameIdentity || name == nameRoots }

// refer reads an SDS name as a proxy with the service account means it.
func refer(n bundle.Node, account, name string) (secretRef, error) {
	switch {
	case own(name):
		return identityRef(n, account, name == nameRoots)
	case strings.HasPrefix(name, prefixFileCert):
		cert, key, ok := cutFiles(strings.TrimPrefix(name, prefixFileCert))
		if !ok {
			return secretRef{}, errors.New("the name has not the form file-cert:CERTIFICATE~KEY")
		}
		return secretRef{cert: cert, key: key}, nil
	case strings.HasPrefix(name, prefixFileRoot):
		ca := strings.TrimPrefix(name, prefixFileRoot)
		if ca == systemRoots {
			if ca = n.SystemRoots; ca == "" {
				ca = defaultSystem
			}
		}
		return secretRef{roots: ca}, nil
	}
	return storedRef(n, name)
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

// storedRef is a credential by name: SCHEME://NAME or SCHEME://NAMESPACE/NAME, in the proxy's own namespace only.
func storedRef(n bundle.Node, name string) (secretRef, error) {
	scheme, rest, ok := strings.Cut(name, "://")
	if ns, in, two := strings.Cut(rest, "/"); two {
		if ns != n.Namespace {
			return secretRef{}, fmt.Errorf("the secret is one of namespace %.80q, and the proxy's is %.80q", ns, n.Namespace)
		}
		rest = in
	}
	base, ca := strings.CutSuffix(rest, suffixCA)
	if !ok || !plainName(n.Namespace) || !plainName(rest) || !plainName(base) {
		return secretRef{}, errNoName
	}
	switch scheme {
	case "kubernetes", "kubernetes-gateway":
		if ca {
			return secretRef{namespace: n.Namespace, holder: holderSecret, names: []string{rest, base}, ca: true}, nil
		}
		return secretRef{namespace: n.Namespace, holder: holderSecret, names: []string{rest}}, nil
	case schemeConfig:
		return secretRef{namespace: n.Namespace, holder: holderConfigMap, names: []string{base}, ca: true}, nil
	}
	return secretRef{}, errNoName
}

// cutFiles splits CERT~KEY. A path may hold a ~ of its own; then the one before an absolute path counts.
func cutFiles(s string) (cert, key string, ok bool) {
	at := "~"
	if strings.Count(s, at) > 1 {
		at = "~/"
	}
	if strings.Count(s, at) != 1 {
		return "", "", false
	}
	cert, key, _ = strings.Cut(s, at)
	key = strings.TrimPrefix(at, "~") + key
	return cert, key, cert != "" && key != ""
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
	names, ok := g.secrets[c]
	if !ok {
		names = map[string]bool{}
		for _, r := range c.Resources() {
			mentioned(r.Bytes, names, 0)
		}
		g.secrets[c] = names
	}
	return names[name]
}

// mentioned collects the strings of an encoded message that have the form of an SDS name. It needs no description of the
// message: a field of bytes is such a string, or may be a message in turn.
func mentioned(b []byte, names map[string]bool, depth int) {
	if depth > 64 || !bytes.Contains(b, []byte("://")) && !bytes.Contains(b, []byte(prefixFileCert)) && !bytes.Contains(b, []byte(prefixFileRoot)) {
		return
	}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if typ == protowire.BytesType {
			v, size := protowire.ConsumeBytes(b)
			if size < 0 {
				return
			}
			if s := string(v); secretLike(s) {
				names[s] = true
			} else {
				mentioned(v, names, depth+1)
			}
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return
		}
		b = b[n:]
	}
}

func secretLike(s string) bool {
	for _, p := range []string{prefixFileCert, prefixFileRoot, "kubernetes://", "kubernetes-gateway://", schemeConfig + "://"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
