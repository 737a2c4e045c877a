package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/server/watch"
)

// Keys vouch for tokens by the public keys of one API server or of several, which are read from a file or from the files of
// a folder: JSON Web Key Sets, as an API server has its own at /openid/v1/jwks, or public keys and certificates in PEM, as
// its --service-account-key-file. They are read again when they change; what cannot be read leaves those before in use.
type Keys struct {
	path    string
	wants   Wants
	monitor *watch.Monitor
	now     atomic.Pointer[Set]

	look  sync.Mutex
	stamp string
}

// Set is the keys of one time. It does not change.
type Set struct {
	keys map[string]jose.JSONWebKey // by what tokens call them
	held map[string]bool            // their fingerprints
}

// NewKeys follows the keys at a path once Follow is called.
func NewKeys(path string, w Wants) *Keys {
	return &Keys{path: path, wants: w, monitor: &watch.Monitor{Name: "token keys", Path: path}}
}

// Verify implements Verifier. It asks nobody.
func (k *Keys) Verify(_ context.Context, raw string) (Account, error) {
	t, err := parse(raw)
	if err != nil {
		return Account{}, err
	}
	set := k.now.Load()
	if set == nil {
		return Account{}, errors.New("the keys of tokens were not read yet")
	}
	id := t.Headers[0].KeyID // a signed token has one signature
	if id == "" {
		return Account{}, errors.New("the token does not say which key has signed it")
	}
	key, ok := set.keys[id]
	if !ok {
		return Account{}, fmt.Errorf("the token is signed by the key %.100q, which is none of the keys at %s", id, k.path)
	}
	var c claims
	if err := t.Claims(key, &c); err != nil {
		return Account{}, fmt.Errorf("the signature of the token does not hold: %.200s", err.Error())
	}
	if err := k.wants.holds(&c, time.Now()); err != nil {
		return Account{}, err
	}
	a, err := c.account()
	if err != nil {
		return Account{}, err
	}
	a.key = fingerprint(key.Key)
	return a, nil
}

// Current is the keys of now.
func (k *Keys) Current() *Set { return k.now.Load() }

// Vouches tells whether the key that has vouched for an account is one of a set still.
func (s *Set) Vouches(a Account) error {
	if s == nil || s.held[a.key] {
		return nil
	}
	return fmt.Errorf("the key that has signed the token of %s/%s is none of the API server's any more", a.Namespace, a.Name)
}

// Status tells how the reading goes.
func (k *Keys) Status() watch.Status { return k.monitor.Status() }

// Follow reads the keys, and again every so often until the context ends. It fails if there are none at first.
func (k *Keys) Follow(ctx context.Context, every time.Duration) error {
	if _, err := watch.Aside(ctx, func() (struct{}, error) { return struct{}{}, k.refresh() }); err != nil {
		return err
	}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = k.refresh() // the monitor keeps the error
			}
		}
	}()
	return nil
}

func (k *Keys) refresh() error {
	k.look.Lock()
	defer k.look.Unlock()
	return k.monitor.Do(func() error {
		files, err := filesAt(k.path)
		if err != nil {
			return fmt.Errorf("keys of tokens: %w", err)
		}
		stamp := watch.Stamps(files...)
		if stamp == k.stamp && k.now.Load() != nil {
			return nil
		}
		fresh, err := readSet(files)
		if err != nil {
			return fmt.Errorf("keys of tokens: %w", err)
		}
		k.now.Store(fresh)
		k.stamp = stamp
		return nil
	})
}

// filesAt is the file at a path, or those in the folder there. Names that begin with a dot are those of a mounted volume's
// own.
func filesAt(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(path, e.Name()))
		}
	}
	if len(out) > limit.TokenKeyFiles {
		return nil, fmt.Errorf("%s has %d files, more than %d", path, len(out), limit.TokenKeyFiles)
	}
	return out, nil
}

// readSet reads the keys of files. Another key under the name of one is refused: which would count?
func readSet(files []string) (*Set, error) {
	s := &Set{keys: map[string]jose.JSONWebKey{}, held: map[string]bool{}}
	for _, file := range files {
		text, err := regular.ReadFile(file, limit.SecretBytes)
		if err != nil {
			return nil, err
		}
		keys, err := readKeys(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, k := range keys {
			if before, ok := s.keys[k.KeyID]; ok && fingerprint(before.Key) != fingerprint(k.Key) {
				return nil, fmt.Errorf("%s: there are two keys called %.100q", file, k.KeyID)
			}
			s.keys[k.KeyID] = k
			s.held[fingerprint(k.Key)] = true
		}
	}
	if len(s.keys) == 0 {
		return nil, errors.New("there is no key: kubectl get --raw /openid/v1/jwks writes those of an API server")
	}
	return s, nil
}

// readKeys reads a JSON Web Key Set, or public keys and certificates in PEM.
func readKeys(text []byte) ([]jose.JSONWebKey, error) {
	if block, _ := pem.Decode(text); block != nil {
		return readPEM(text)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("this is neither a JSON Web Key Set nor PEM") // the cause may quote a key
	}
	for i, k := range set.Keys {
		if !k.Valid() || !k.IsPublic() {
			return nil, fmt.Errorf("keys[%d] is no public key: a server needs nothing that could sign a token", i)
		}
		if err := signs(k.Key); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if k.KeyID == "" {
			set.Keys[i].KeyID = nameOf(k.Key)
		}
	}
	return set.Keys, nil
}

func readPEM(text []byte) (out []jose.JSONWebKey, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			key, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				key = c.PublicKey
			}
		default:
			return nil, fmt.Errorf("a block of PEM is a %.60q: only public keys and certificates are taken", block.Type)
		}
		if err == nil {
			err = signs(key)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, jose.JSONWebKey{Key: key, KeyID: nameOf(key)})
	}
	return out, nil
}

// signs tells whether API servers sign with keys of the kind.
func signs(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return nil
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return fmt.Errorf("an RSA key of %d bits is too short: 2048 at least", k.N.BitLen())
		}
		return nil
	}
	return errors.New("the key is neither an RSA nor an elliptic curve key")
}

// nameOf is what Kubernetes calls a key in the tokens it signs.
func nameOf(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil { // signs has taken it, so it can be written
		return ""
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// fingerprint tells keys apart.
func fingerprint(key crypto.PublicKey) string { return nameOf(key) }
