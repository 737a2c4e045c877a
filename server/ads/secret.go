package ads

import (
	"maps"
	"slices"

	"github.com/meshc/meshc/internal/limit"
)

// Secret is one as the proxy may have it now.
type Secret struct {
	Message []byte // nil: there is none
	Missing string // why there is none, or no newer one; "": nothing is missing
	Waiting bool   // it is on its way, so that it is missing is nobody's fault
}

// NeedsSecrets are the names of secrets that an event has to come with, each once and sorted.
func (s *Stream) NeedsSecrets(e Event) []string {
	var asked []string
	switch e := e.(type) {
	case DeltaRequest:
		if k, ok := kindOf(e.GetTypeUrl(), true); !ok || k != Secrets {
			return nil
		}
		asked = e.GetResourceNamesSubscribe()
	case SotWRequest:
		if k, ok := kindOf(e.GetTypeUrl(), false); !ok || k != Secrets {
			return nil
		}
		names := slices.Clone(e.GetResourceNames()[:min(len(e.GetResourceNames()), limit.StreamSecrets)])
		slices.Sort(names)
		return slices.Compact(names)
	case ViewChange:
		if !s.moves(e.View) {
			return nil
		}
	case Writable:
		return nil
	}
	var names []string
	for name := range s.secretNames {
		names = append(names, name)
	}
	names = append(names, asked[:min(len(asked), limit.StreamSecrets)]...)
	slices.Sort(names)
	return slices.Compact(names)
}

// askSecrets adds names that the proxy asks for.
func (s *Stream) askSecrets(names []string) {
	for _, n := range names {
		if s.secretNames == nil {
			s.secretNames = map[string]string{}
		}
		if _, ok := s.secretNames[n]; !ok && len(s.secretNames) < limit.StreamSecrets {
			s.secretNames[n] = ""
		}
	}
}

// setSecrets takes the secrets of the names that the proxy has asked for.
func (s *Stream) setSecrets(now map[string]Secret) {
	var target Bitset
	for _, name := range slices.Sorted(maps.Keys(s.secretNames)) { // in one order, so that the same events give the same bytes
		before, x := s.secretNames[name], now[name]
		if x.Missing != "" && x.Missing != before && !x.Waiting {
			s.note(SecretMissing{name, x.Missing})
		}
		s.secretNames[name] = x.Missing
		if x.Message != nil {
			target.Set(s.reg.AddMade(Secrets, name, x.Message))
		}
	}
	s.secretTarget = target
	s.adopt()
}

// SecretsInUse are the numbers of the secrets that the proxy is to have.
func (s *Stream) SecretsInUse() (*Registry, Bitset) { return s.reg, s.secretTarget }

// MissingSecrets are a few of the names that the proxy asks for and has no secret of, or no newer one, and why.
func (s *Stream) MissingSecrets(most int) map[string]string {
	var out map[string]string
	for name, why := range s.secretNames {
		if why != "" && len(name) <= 300 && len(out) < most {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = why
		}
	}
	return out
}
