package names

import (
	"bytes"
	"strings"
)

// Names of the secrets that every workload has: its certificate with key, and whom it trusts.
const (
	OwnCertificate = "default"
	OwnRoots       = "ROOTCA"
)

// SystemRoots stands for the path of the roots of the proxy's operating system.
const SystemRoots = "system"

const (
	fileCertificate = "file-cert:"
	fileRoots       = "file-root:"
	kubernetes      = "kubernetes://"
	gateway         = "kubernetes-gateway://"
	configMap       = "configmap://"
	caSuffix        = "-cacert"
)

// FileCertificate names a certificate and its key on the proxy's own file system: file-cert:CERT~KEY.
func FileCertificate(cert, key string) string { return fileCertificate + cert + "~" + key }

// FileRoots names roots on the proxy's own file system: file-root:CA.
func FileRoots(ca string) string { return fileRoots + ca }

// Credential names what a credentialName stands for: a Secret of the proxy's namespace, kubernetes://NAME, unless the
// name says otherwise, as configmap://NAME.
func Credential(name string) string {
	if strings.Contains(name, "://") {
		return name
	}
	return kubernetes + name
}

// IsConfigMap tells whether a credentialName is about a ConfigMap.
func IsConfigMap(name string) bool { return strings.HasPrefix(name, configMap) }

// CredentialRoots names the roots beside a credential: kubernetes://NAME-cacert.
func CredentialRoots(credential string) string { return credential + caSuffix }

// SecretKind tells what a Secret is.
type SecretKind int

// The kinds of secrets.
const (
	UnknownSecret   SecretKind = iota
	OwnSecret                  // the certificate of the workload
	OwnRootsSecret             // whom it trusts
	FileSecret                 // a certificate and key in files of the proxy
	FileRootsSecret            // roots in a file of the proxy
	StoredSecret               // a Secret of Kubernetes
	StoredRoots                // a ConfigMap of Kubernetes
)

// Secret is what an SDS name says.
type Secret struct {
	Kind      SecretKind
	Cert, Key string // paths of a FileSecret; "" where the name has not the form
	Roots     string // path of FileRootsSecret, or SystemRoots
	Namespace string // of what is stored
	Elsewhere bool   // the name says the namespace; else it is the proxy's own
	Name      string // of what is stored, without -cacert
	CA        bool   // with -cacert: its roots are meant
}

// ParseSecret reads an SDS name. Names in it may be anything.
func ParseSecret(name string) Secret {
	switch {
	case name == OwnCertificate:
		return Secret{Kind: OwnSecret}
	case name == OwnRoots:
		return Secret{Kind: OwnRootsSecret}
	case strings.HasPrefix(name, fileCertificate):
		cert, key := cutFiles(strings.TrimPrefix(name, fileCertificate))
		return Secret{Kind: FileSecret, Cert: cert, Key: key}
	case strings.HasPrefix(name, fileRoots):
		return Secret{Kind: FileRootsSecret, Roots: strings.TrimPrefix(name, fileRoots)}
	}
	scheme, rest, _ := strings.Cut(name, "://")
	s := Secret{}
	switch scheme + "://" {
	case kubernetes, gateway:
		s.Kind = StoredSecret
	case configMap:
		s.Kind = StoredRoots
	default:
		return s
	}
	if ns, in, two := strings.Cut(rest, "/"); two {
		s.Namespace, rest, s.Elsewhere = ns, in, true
	}
	s.Name, s.CA = strings.CutSuffix(rest, caSuffix)
	return s
}

// FullName is the name of what is stored with its -cacert.
func (s Secret) FullName() string {
	if s.CA {
		return s.Name + caSuffix
	}
	return s.Name
}

// cutFiles splits CERT~KEY. A path may hold a ~ of its own; then the one before an absolute path counts.
func cutFiles(s string) (cert, key string) {
	at := "~"
	if strings.Count(s, at) > 1 {
		at = "~/"
	}
	if strings.Count(s, at) != 1 {
		return "", ""
	}
	cert, key, _ = strings.Cut(s, at)
	if key = strings.TrimPrefix(at, "~") + key; cert == "" || key == "" {
		return "", ""
	}
	return cert, key
}

// MayNameSecret tells quickly whether a message may hold a name that ParseSecret knows, but for those of the workload's own.
func MayNameSecret(b []byte) bool {
	return bytes.Contains(b, []byte("://")) || bytes.Contains(b, []byte(fileCertificate)) || bytes.Contains(b, []byte(fileRoots))
}
