package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// secretDir hands out SDS secrets from files. A proxy reaches those of its own identity and, by the names in its
// configuration, those of its own namespace; nothing else has a path:
//
//	DIR/NAMESPACE/SERVICE-ACCOUNT/tls.crt tls.key ca.crt       default, ROOTCA
//	DIR/NAMESPACE/kubernetes/NAME/tls.crt tls.key ca.crt       kubernetes://NAME, kubernetes://NAME-cacert
//	DIR/NAMESPACE/configmap/NAME/ca.crt                        configmap://NAME
//
// ca.crl beside ca.crt is a list of revoked certificates. Certificate and key have to fit each other; until they do, in
// the middle of a rotation, the old pair stays in use. A secret whose files are gone is handed out no more; proxies keep
// what they have of it.
type secretDir struct {
	root string
	last map[string]loaded // by name and folder
}

type loaded struct {
	stamp string
	bytes []byte // the Secret message
	err   error
}

// maxSecret bounds a file of certificates or a key.
const maxSecret = 1 << 20

// maxSecretNames bounds what one stream may ask for, maxSecretWarnings what is logged of its failures.
const maxSecretNames, maxSecretWarnings = 10000, 20

var errNoSecret = errors.New("there are no files for the secret")

// load returns the Secret message. A secret that is there and no good leaves the last good one in use.
func (d *secretDir) load(ref secretRef, name string) ([]byte, error) {
	key, stamp := name, ""
	for _, dir := range ref.folders {
		key += " " + dir
		for _, f := range []string{"tls.crt", "tls.key", "ca.crt", "ca.crl"} {
			if fi, err := os.Stat(filepath.Join(d.root, dir, f)); err == nil {
				stamp += fmt.Sprint(dir, f, sysID(fi), fi.Size(), fi.ModTime().UnixNano(), ";")
			}
		}
	}
	if stamp == "" {
		delete(d.last, key)
		return nil, errNoSecret
	}
	old := d.last[key]
	if old.stamp == stamp {
		return old.bytes, old.err
	}
	b, err := d.read(ref, name)
	if err != nil && old.bytes != nil {
		b = old.bytes
	}
	d.last[key] = loaded{stamp: stamp, bytes: b, err: err}
	return b, err
}

func (d *secretDir) read(ref secretRef, name string) (b []byte, err error) {
	root, err := os.OpenRoot(d.root) // links may not leave it
	if err != nil {
		return nil, errNoSecret
	}
	defer func() { _ = root.Close() }()
	for _, dir := range ref.folders {
		f := folder{root: root, dir: dir}
		s := &tlsv3.Secret{Name: name}
		if ref.ca || !f.has("tls.crt") && f.has("ca.crt") {
			err = f.roots(s)
		} else {
			err = f.certificate(s)
		}
		if err == nil {
			return proto.MarshalOptions{Deterministic: true}.Marshal(s)
		}
		if !errors.Is(err, errNoSecret) {
			break
		}
	}
	return nil, err
}

// folder is the folder of a secret.
type folder struct {
	root *os.Root
	dir  string
}

func (f folder) has(name string) bool {
	_, err := f.root.Stat(filepath.Join(f.dir, name))
	return err == nil
}

func (f folder) read(name string) ([]byte, error) {
	h, err := f.root.Open(filepath.Join(f.dir, name))
	if err != nil {
		return nil, errNoSecret
	}
	defer func() { _ = h.Close() }()
	return io.ReadAll(io.LimitReader(h, maxSecret))
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}

// roots fills in a validation context from ca.crt and ca.crl.
func (f folder) roots(s *tlsv3.Secret) error {
	ca, err := f.read("ca.crt")
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return errors.New("ca.crt holds no certificate")
	}
	v := &tlsv3.CertificateValidationContext{TrustedCa: inline(ca)}
	if f.has("ca.crl") {
		crl, err := f.read("ca.crl")
		if err != nil {
			return err
		}
		if block, _ := pem.Decode(crl); block == nil || block.Type != "X509 CRL" {
			return errors.New("ca.crl holds no list of revoked certificates")
		}
		v.Crl = inline(crl)
	}
	s.Type = &tlsv3.Secret_ValidationContext{ValidationContext: v}
	return nil
}

// certificate fills in tls.crt and tls.key.
func (f folder) certificate(s *tlsv3.Secret) error {
	crt, err := f.read("tls.crt")
	if err != nil {
		return err
	}
	key, err := f.read("tls.key")
	if err != nil {
		return err
	}
	if _, err := tls.X509KeyPair(crt, key); err != nil {
		return errors.New("tls.crt and tls.key do not fit each other") // the cause could quote them
	}
	s.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(crt), PrivateKey: inline(key)}}
	return nil
}

// targetSecrets looks up the secrets that the stream asks for. Call with s.mu held.
func (s *stream) targetSecrets(names []string) {
	srv := s.srv
	for _, n := range names {
		if s.secretNames == nil {
			s.secretNames = map[string]string{}
		}
		if _, ok := s.secretNames[n]; !ok && len(s.secretNames) < maxSecretNames {
			s.secretNames[n] = ""
		}
	}
	var target bitset
	for name, before := range s.secretNames {
		b, err := srv.secret(s, name)
		if err != nil {
			if before != err.Error() {
				s.missSecret(name, err)
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

// missSecret counts and logs a secret that the proxy does not get.
func (s *stream) missSecret(name string, err error) {
	s.srv.metrics.refused.WithLabelValues("secret").Inc()
	if s.secretWarnings++; s.secretWarnings > maxSecretWarnings {
		return
	}
	if len(name) > 300 {
		name = name[:300] + "…"
	}
	s.srv.log.Warn("secret not available", "node", s.node.ID, "secret", name, "reason", err.Error())
}

// secret returns a Secret message, or why the proxy has none of the name.
func (srv *Server) secret(s *stream, name string) ([]byte, error) {
	ref, err := refer(s.node, s.account, name)
	if err != nil {
		return nil, err
	}
	if !own(name) && !s.view.gen.mentions(s.view.class, name) {
		return nil, errors.New("the configuration of this proxy does not name the secret")
	}
	if m := ref.remote(name); m != nil {
		return proto.MarshalOptions{Deterministic: true}.Marshal(m)
	}
	if srv.secrets == nil {
		return nil, errors.New("this server hands out no secrets; see --secrets")
	}
	srv.secretsMu.Lock()
	defer srv.secretsMu.Unlock()
	return srv.secrets.load(ref, name)
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

// rotate has every stream look at its secrets again, and forgets those that none is to have any more. What was found
// unused is kept for one more round, for the streams that opened in the meantime.
func (srv *Server) rotate() {
	reg := srv.gen.Load().reg
	var used bitset
	for _, s := range srv.snapshot() {
		s.mu.Lock()
		if len(s.secretNames) > 0 {
			s.targetSecrets(nil)
			s.kick()
		}
		if s.reg == reg {
			used.or(s.secretTarget)
		}
		s.mu.Unlock()
	}
	unused := reg.unused(secrets, used)
	if srv.unusedIn == reg {
		reg.forget(secrets, unused, srv.unused)
	}
	srv.unused, srv.unusedIn = unused, reg
}
