package files

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
)

// answer is a DiscoveryResponse (envoy.service.discovery.v3) in JSON, as Envoy reads it from a file. Its version is the digest
// of its resources, so that a file is another only where it says something else.
type answer struct {
	VersionInfo string            `json:"versionInfo"`
	Resources   []json.RawMessage `json:"resources"`
}

func answerOf(list []proto.Message) (answer, error) {
	a := answer{Resources: []json.RawMessage{}}
	for _, m := range list {
		packed, err := anypb.New(m)
		if err != nil {
			return a, err
		}
		text, err := bundle.JSON(packed)
		if err != nil {
			return a, err
		}
		a.Resources = append(a.Resources, text)
	}
	return a, nil
}

// text writes the answer, with its version.
func (a answer) text() ([]byte, error) {
	h := sha256.New()
	for _, r := range a.Resources {
		var compact bytes.Buffer
		if err := json.Compact(&compact, r); err != nil {
			return nil, err
		}
		h.Write(compact.Bytes()) // a hash takes everything
	}
	a.VersionInfo = "sha256:" + hex.EncodeToString(h.Sum(nil))
	out, err := json.MarshalIndent(a, "", " ")
	return append(out, '\n'), err
}
