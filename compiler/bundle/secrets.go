package bundle

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/meshc/meshc/internal/secret"
)

// Secret is a part of a bundle that holds key material or a credential.
type Secret struct {
	Holder  string   // the resource, workload or file, for people
	Origins []Origin // where it comes from, as far as that is known; of workloads only the object is
}

// secrets are what was found, by kind.
type secrets struct{ keys, credentials []Secret }

// look takes in a part of the bundle and tells whether there was something.
func (s *secrets) look(b []byte, of func() Secret) bool {
	key, credential := secret.Has(b)
	if key {
		s.keys = append(s.keys, of())
	}
	if credential {
		s.credentials = append(s.credentials, of())
	}
	return key || credential
}

// resources looks into the messages.
func (s *secrets) resources(rs []*Resource) {
	for _, r := range rs {
		s.look(r.Bytes, r.secret)
	}
}

func (r *Resource) secret() Secret {
	return Secret{Holder: shortType(r.Type) + " " + strconv.Quote(r.Name), Origins: r.Origins}
}

// files looks into all that is written besides the messages, as it is written, and then for the part that is meant.
func (s *secrets) files(b *Bundle) {
	for _, f := range b.files {
		if f.name == resourcesFile {
			continue
		}
		if key, credential := secret.Has(f.data); !key && !credential {
			continue
		}
		found := false
		switch f.name {
		case indexFile:
			for _, r := range b.Resources {
				found = s.lookJSON([]any{r.Name, r.Selector, r.Join}, r.secret) || found
			}
		case originsFile:
			for _, r := range b.Resources {
				found = s.lookJSON(r.Origins, r.secret) || found
			}
		case workloadsFile:
			for _, w := range b.Workloads {
				found = s.lookJSON(w, func() Secret {
					return Secret{Holder: w.Kind + " " + strconv.Quote(w.Namespace+"/"+w.Name), Origins: []Origin{{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}}}
				}) || found
			}
		}
		if !found {
			s.look(f.data, func() Secret { return Secret{Holder: f.name} })
		}
	}
}

func (s *secrets) lookJSON(v any, of func() Secret) bool {
	b, err := json.Marshal(v)
	if err != nil {
		panic("bundle: " + err.Error()) // strings, numbers and maps of them
	}
	return s.look(b, of)
}

// refused is the refusal of keys, nil if there are none.
func (s *secrets) refused() error {
	if len(s.keys) == 0 {
		return nil
	}
	e := &Error{Code: CodePrivateKey, Message: s.keys[0].Holder + " holds what looks like a private key, and a bundle is not a place for secrets",
		Help: "name the secret (credentialName, or a file path on the proxy) and let the server hand it out by SDS"}
	for _, k := range s.keys {
		e.Origins = append(e.Origins, k.Origins...)
	}
	e.Origins = slices.Clip(e.Origins)
	return e
}
