package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"
)

// Key is a private key that signs.
type Key struct{ signer crypto.Signer }

// PublicKey is a key that verifies.
type PublicKey struct {
	key  crypto.PublicKey
	hint string // base64 of the SHA-256 of the SubjectPublicKeyInfo, by which cosign names a key
}

// Types of PEM blocks.
const (
	pkcs8Block     = "PRIVATE KEY"
	publicBlock    = "PUBLIC KEY"
	sigstoreBlock  = "ENCRYPTED SIGSTORE PRIVATE KEY"
	oldCosignBlock = "ENCRYPTED COSIGN PRIVATE KEY"
)

// ReadKey reads a private key, PKCS#8 or the encrypted form of cosign, whose password is then asked for.
func ReadKey(text []byte, password func() ([]byte, error)) (*Key, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	der := block.Bytes
	switch block.Type {
	case pkcs8Block:
	case sigstoreBlock, oldCosignBlock:
		word, err := password()
		if err != nil {
			return nil, err
		}
		if der, err = decrypt(block.Bytes, word); err != nil {
			return nil, err
		}
	case publicBlock:
		return nil, errors.New("is a public key, and signing takes the private one")
	default:
		return nil, fmt.Errorf("is a PEM block %q, not PRIVATE KEY (PKCS#8) or %s (cosign): openssl pkcs8 -topk8 -nocrypt turns other keys into the first", block.Type, sigstoreBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("is no PKCS#8 key that can be read")
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errUnfit(parsed)
	}
	if _, err := newPublicKey(signer.Public()); err != nil {
		return nil, err
	}
	return &Key{signer}, nil
}

// ReadPublicKey reads a SubjectPublicKeyInfo.
func ReadPublicKey(text []byte) (*PublicKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	if block.Type != publicBlock {
		return nil, fmt.Errorf("is a PEM block %q, not PUBLIC KEY (SubjectPublicKeyInfo)", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("is no SubjectPublicKeyInfo that can be read")
	}
	return newPublicKey(key)
}

func onlyBlock(text []byte) (*pem.Block, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("holds no PEM block")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("holds more than one PEM block")
	}
	return block, nil
}

func newPublicKey(key crypto.PublicKey) (*PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, errUnfit(key)
		}
	default:
		return nil, errUnfit(key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	d := sha256.Sum256(der)
	return &PublicKey{key: key, hint: base64.StdEncoding.EncodeToString(d[:])}, nil
}

func errUnfit(key any) error {
	return fmt.Errorf("is a key of another kind (%T): signatures are by Ed25519 or ECDSA with P-256", key)
}

// Public is the key that verifies what this one signs.
func (k *Key) Public() *PublicKey {
	p, err := newPublicKey(k.signer.Public())
	if err != nil {
		panic("signature: " + err.Error()) // ReadKey has asked
	}
	return p
}

// sign signs a message: its SHA-256 by ECDSA, itself by Ed25519.
func (k *Key) sign(message []byte) ([]byte, error) {
	if _, ok := k.signer.Public().(ed25519.PublicKey); ok {
		return k.signer.Sign(rand.Reader, message, crypto.Hash(0))
	}
	d := sha256.Sum256(message)
	return k.signer.Sign(rand.Reader, d[:], crypto.SHA256)
}

// verifies tells whether a signature is of the message by the key.
func (p *PublicKey) verifies(message, signature []byte) bool {
	switch k := p.key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, signature)
	case *ecdsa.PublicKey:
		d := sha256.Sum256(message)
		return ecdsa.VerifyASN1(k, d[:], signature)
	}
	return false
}

// Same tells whether two keys are one.
func (p *PublicKey) Same(other *PublicKey) bool { return p.hint == other.hint }

// ID names the key for people, as cosign's hint does.
func (p *PublicKey) ID() string { return p.hint }

// sealed is the JSON in an encrypted key of cosign.
type sealed struct {
	KDF struct {
		Name   string `json:"name"`
		Params struct{ N, R, P int }
		Salt   []byte `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

// mostScrypt bounds the memory that a key file can ask for, 128·N·r bytes.
const mostScrypt = 256 << 20

func decrypt(text, password []byte) ([]byte, error) {
	var s sealed
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, errors.New("is an encrypted key that cannot be read")
	}
	p := s.KDF.Params
	if s.KDF.Name != "scrypt" || s.Cipher.Name != "nacl/secretbox" || len(s.Cipher.Nonce) != 24 {
		return nil, fmt.Errorf("is encrypted with %q and %q; cosign uses scrypt and nacl/secretbox", s.KDF.Name, s.Cipher.Name)
	}
	if p.N < 2 || p.R < 1 || p.P < 1 || p.P > 16 || p.R > 64 || p.N > mostScrypt/128/p.R {
		return nil, errors.New("is encrypted in a way that takes more memory than any key needs")
	}
	derived, err := scrypt.Key(password, s.KDF.Salt, p.N, p.R, p.P, 32)
	if err != nil {
		return nil, errors.New("is an encrypted key that cannot be read")
	}
	der, ok := secretbox.Open(nil, s.Ciphertext, (*[24]byte)(s.Cipher.Nonce), (*[32]byte)(derived))
	if !ok {
		return nil, errors.New("does not open with this password")
	}
	return der, nil
}

// pem is the key as ReadPublicKey reads it.
func (p *PublicKey) pem() []byte {
	der, err := x509.MarshalPKIXPublicKey(p.key)
	if err != nil {
		panic("signature: " + err.Error()) // newPublicKey has done it before
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der})
}
