package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
)

// secretDir hands out SDS secrets from files. A proxy reaches those of its own identity and, by credentialName, those of
// its own namespace; nothing else has a path:
//
//	DIR/NAMESPACE/SERVICE-ACCOUNT/tls.crt tls.key ca.crt       default, ROOTCA
//	DIR/NAMESPACE/kubernetes/NAME/tls.crt tls.key ca.crt       kubernetes://NAME, kubernetes://NAME-cacert; routers only
//
// Certificate and key have to fit each other; until they do, in the middle of a rotation, the old pair stays in use.
type secretDir struct {
	root string
	last map[string]loaded // by path and part
}

type loaded struct {
	stamp string
	bytes []byte // the Secret message
	name  string
	err   error
}

// maxSecret bounds a file of certificates or a key.
const maxSecret = 1 << 20

var errNoSecret = errors.New("no such secret for this proxy")

// plainName is what namespaces, service accounts and secrets may be called; it cannot leave a folder.
func plainName(s string) bool {
	return regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,250}[a-z0-9])?$`).MatchString(s) && !strings.Contains(s, "..")
}

// path finds the folder of a secret, and whether its CA or its certificate is meant.
func (d *secretDir) path(n bundle.Node, account, name string) (dir string, ca bool, err error) {
	if !plainName(n.Namespace) || account != "" && !plainName(account) {
		return "", false, errNoSecret
	}
	switch {
	case (name == "default" || name == "ROOTCA") && account != "" && account != "kubernetes":
		return filepath.Join(n.Namespace, account), name == "ROOTCA", nil
	case strings.HasPrefix(name, "kubernetes://") && n.Gateway:
		s, ca := strings.CutSuffix(strings.TrimPrefix(name, "kubernetes://"), "-cacert")
		if plainName(s) {
			return filepath.Join(n.Namespace, "kubernetes", s), ca, nil
		}
	}
	return "", false, errNoSecret
}

// load returns the Secret message. A secret that cannot be read leaves the last good one in use.
func (d *secretDir) load(dir string, ca bool, name string) ([]byte, error) {
	key := fmt.Sprint(dir, " ", ca, " ", name)
	stamp := ""
	for _, f := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if fi, err := os.Stat(filepath.Join(d.root, dir, f)); err == nil {
			stamp += fmt.Sprint(f, sysID(fi), fi.Size(), fi.ModTime().UnixNano(), ";")
		}
	}
	old := d.last[key]
	if old.stamp == stamp && stamp != "" {
		return old.bytes, old.err
	}
	b, err := d.read(dir, ca, name)
	if err != nil && old.bytes != nil {
		b = old.bytes
	}
	d.last[key] = loaded{stamp: stamp, bytes: b, name: name, err: err}
	return b, err
}

func (d *secretDir) read(dir string, ca bool, name string) ([]byte, error) {
	root, err := os.OpenRoot(d.root) // links may not leave it
	if err != nil {
		return nil, errNoSecret
	}
	defer func() { _ = root.Close() }()
	file := func(f string) ([]byte, error) {
		h, err := root.Open(filepath.Join(dir, f))
		if err != nil {
			return nil, errNoSecret
		}
		defer func() { _ = h.Close() }()
		return io.ReadAll(io.LimitReader(h, maxSecret))
	}
	inline := func(b []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
	}
	s := &tlsv3.Secret{Name: name}
	if ca {
		pem, err := file("ca.crt")
		if err != nil {
			return nil, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, errors.New("ca.crt holds no certificate")
		}
		s.Type = &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(pem)}}
	} else {
		crt, err := file("tls.crt")
		if err != nil {
			return nil, err
		}
		key, err := file("tls.key")
		if err != nil {
			return nil, err
		}
		if _, err := tls.X509KeyPair(crt, key); err != nil {
			return nil, errors.New("tls.crt and tls.key do not fit each other") // the cause could quote them
		}
		s.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(crt), PrivateKey: inline(key)}}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(s)
}

// targetSecrets looks up the secrets that the stream asks for. Call with s.mu held.
func (s *stream) targetSecrets(names []string) {
	srv := s.srv
	for _, n := range names {
		if s.secretNames == nil {
			s.secretNames = map[string]string{}
		}
		if _, ok := s.secretNames[n]; !ok && len(s.secretNames) < 1000 {
			s.secretNames[n] = ""
		}
	}
	var target bitset
	for name, before := range s.secretNames {
		b, err := srv.secret(s.node, s.account, name)
		if err != nil {
			if before != err.Error() {
				srv.log.Warn("secret not available", "node", s.node.ID, "secret", name, "reason", err.Error())
			}
			s.secretNames[name] = err.Error()
		} else {
			s.secretNames[name] = ""
		}
		if b != nil {
			target.set(s.reg.add(secrets, name, version(sha256.Sum256(b)), b, nil))
		}
	}
	s.secretTarget = target
	s.adopt()
}

func (srv *Server) secret(n bundle.Node, account, name string) ([]byte, error) {
	if srv.secrets == nil {
		return nil, errors.New("this server hands out no secrets; see --secrets")
	}
	srv.secretsMu.Lock()
	defer srv.secretsMu.Unlock()
	dir, ca, err := srv.secrets.path(n, account, name)
	if err != nil {
		return nil, err
	}
	return srv.secrets.load(dir, ca, name)
}

// watchSecrets looks for rotated files.
func (srv *Server) watchSecrets(ctx context.Context) {
	tick := time.NewTicker(srv.opts.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		srv.rotate()
	}
}

func (srv *Server) rotate() {
	for _, s := range srv.snapshot() {
		s.mu.Lock()
		if len(s.secretNames) > 0 {
			s.targetSecrets(nil)
			s.kick()
		}
		s.mu.Unlock()
	}
}
