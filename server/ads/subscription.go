package ads

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
)

// subscription is what a proxy wants and has of one kind.
type subscription struct {
	asked    bool
	wildcard bool
	names    Bitset              // name numbers
	others   map[string]struct{} // names no bundle has had; virtual hosts: route configurations
	held     Bitset              // what was sent and not taken back
	stale    map[string]struct{} // held in a version that no bundle here has
	answer   bool                // the proxy waits for a response, be it empty
	missing  []string            // asked for, and there is none
	sent     []sent              // not yet acknowledged
	refused  []sent              // by the proxy, and not sent again before the bundle changes what is in it
	last     string              // newest nonce

	suspects  []sent // parts of refused responses that are to be sent again, each by itself
	isolating int    // such parts that were sent since the bundle changed

	// Of state of the world, for clusters and listeners.
	out      Bitset           // held, and left out of responses: the proxy has refused it, or is to be asked again
	acked    Bitset           // all of the response that was acknowledged last: what the proxy has
	declined Bitset           // all of the response that was refused last
	kept     map[int32]*Entry // what the proxy has or was sent and is no longer to have: its message may be needed again
	blind    bool             // the proxy has something of an earlier stream, and it is not known what
}

// sent is a response that the proxy has not answered yet, or has refused.
type sent struct {
	nonce   string
	of      *bundle.Bundle // that the proxy was led to
	ids     []int32
	removed []string
	full    bool   // state of the world, clusters or listeners: it said all that there is, which is
	all     Bitset // these versions
	mixed   bool   // it said all there is while the one before was not answered, so it may have been refused for that one
}

func (s *subscription) wants(e *Entry) bool {
	if s.wildcard || s.names.Has(e.nameID) {
		return true
	}
	if e.group != "" && s.others != nil {
		_, ok := s.others[e.group]
		return ok
	}
	return false
}

func (s *subscription) other(name string) {
	if s.others == nil {
		s.others = map[string]struct{}{}
	}
	s.others[name] = struct{}{}
}

// bounded refuses to remember more names.
func (s *subscription) bounded() error {
	if len(s.others)+len(s.stale)+len(s.missing) > limit.StreamNames {
		return status.Errorf(codes.ResourceExhausted, "more than %d names that the bundle has not", limit.StreamNames)
	}
	return nil
}

// outdate notes that the proxy may hold some version of the resource.
func (s *subscription) outdate(name string) {
	if s.stale == nil {
		s.stale = map[string]struct{}{}
	}
	s.stale[name] = struct{}{}
}
