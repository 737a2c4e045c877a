// Package signature signs bundles and verifies signatures, without a network and in the forms that cosign and Flux take.
//
// A signature is a Sigstore bundle of version 0.3: a DSSE envelope around an in-toto statement, which names by their digest
// the things that are signed and says what about them, and a hint at the key. The signature is over the type and the bytes
// of the statement, so it is verified before anything in it is looked at. A statement about an artifact in a registry says
// what cosign says, that it is signed; another one, by the same key, tells where it comes from, as SLSA has it. A statement
// about a file tells that at once.
//
// Which keys count is in a trust file: each key says for which repositories, for which trust domain of the mesh, and from
// when to when.
package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// MediaType is that of a Sigstore bundle, as a file and as an artifact.
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

const statementType = "application/vnd.in-toto+json"

// envelope is a Sigstore bundle, as far as keys need it.
type envelope struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	DSSE dsse `json:"dsseEnvelope"`
}

type dsse struct {
	Payload     []byte `json:"payload"`
	PayloadType string `json:"payloadType"`
	Signatures  []struct {
		Sig []byte `json:"sig"`
	} `json:"signatures"`
}

// signed is the message that DSSE signs: the type and the payload with their lengths.
func signed(payloadType string, payload []byte) []byte {
	var b bytes.Buffer
	for _, part := range [][]byte{[]byte("DSSEv1"), []byte(strconv.Itoa(len(payloadType))), []byte(payloadType), []byte(strconv.Itoa(len(payload)))} {
		b.Write(part)
		b.WriteByte(' ')
	}
	b.Write(payload)
	return b.Bytes()
}

// Sign signs a statement and returns the Sigstore bundle.
func (k *Key) Sign(s Statement) ([]byte, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	sig, err := k.sign(signed(statementType, payload))
	if err != nil {
		return nil, err
	}
	e := envelope{MediaType: MediaType, DSSE: dsse{Payload: payload, PayloadType: statementType}}
	e.VerificationMaterial.PublicKey.Hint = k.Public().hint
	e.DSSE.Signatures = []struct {
		Sig []byte `json:"sig"`
	}{{sig}}
	return json.Marshal(e)
}

// errUnsigned is a signature by a key that was not asked for.
var errUnsigned = errors.New("none of its signatures is by the key")

// Open verifies a Sigstore bundle with a key and returns its statement.
func (p *PublicKey) Open(text []byte) (Statement, error) {
	var e envelope
	var s Statement
	if err := json.Unmarshal(text, &e); err != nil {
		return s, fmt.Errorf("is no Sigstore bundle: %w", err)
	}
	if e.MediaType != MediaType || e.DSSE.PayloadType != statementType {
		return s, fmt.Errorf("is no signed statement in a Sigstore bundle of version 0.3, but %q with %q", e.MediaType, e.DSSE.PayloadType)
	}
	message := signed(e.DSSE.PayloadType, e.DSSE.Payload)
	for _, sig := range e.DSSE.Signatures[:min(len(e.DSSE.Signatures), 10)] {
		if p.verifies(message, sig.Sig) {
			if err := json.Unmarshal(e.DSSE.Payload, &s); err != nil {
				return s, fmt.Errorf("has a statement that cannot be read: %w", err)
			}
			if s.Type != inTotoStatement {
				return s, fmt.Errorf("has a statement of the type %q, not %s", s.Type, inTotoStatement)
			}
			return s, nil
		}
	}
	return s, errUnsigned
}
