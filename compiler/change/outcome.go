package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
)

// How much of the requests an outcome lets through.
const (
	refused = iota
	partly
	passing
)

// Reasons of a refusal.
const (
	byPolicy     = "policy"
	byToken      = "token"
	byAuthorizer = "authorizer"
	byGateway    = "gateway"   // it has no such port or host
	byTLS        = "tls"       // no filter chain, no handshake
	byBlackHole  = "blackhole" // nothing may go there
	byRoute      = "route"     // no route, no virtual host, no cluster
	byEndpoints  = "endpoints" // nothing is behind it
	byAnswer     = "answer"    // a proxy answers with an error
)

// outcome is what one proxy does with a request, as a value: requests whose outcomes have one key are treated alike. Names
// that a control plane is free to choose are no part of it.
type outcome struct {
	passes    int
	end       string // where it goes, or what is answered
	places    string // where it goes, whichever of the places are preferred; "": nowhere
	settings  []setting
	reason    string // of a refusal
	status    int    // of an answer or refusal
	answer    bool   // the input asks for the answer
	leaves    bool   // the mesh
	untouched bool   // the connection goes on as it came, to where it was dialed
	bare      bool   // there is no proxy
	via       string // the listener through which a proxy lets an untouched connection go, and how it reads it
	gateway   bool   // the proxy is one
	clusters  []string
	undecided []string // parts that cannot be judged, with their configuration
	text      string
	origins   []bundle.Origin
	resources []string // that it is made of
	key       string
}

// seal sorts the settings and writes the key.
func (o *outcome) seal() *outcome {
	slices.SortFunc(o.settings, func(a, b setting) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	o.settings = slices.Compact(o.settings)
	var b strings.Builder
	fmt.Fprintf(&b, "%d|%s|%s|%d|%t|%t", o.passes, o.end, o.reason, o.status, o.leaves, o.untouched)
	if o.passes == refused {
		o.settings = nil
	}
	for _, s := range o.settings {
		b.WriteString("\n" + s.topic + " " + s.name + "=" + s.value)
	}
	for _, u := range o.undecided {
		b.WriteString("\n?" + u)
	}
	o.key = b.String()
	switch {
	case o.passes == refused && !o.answer && len(o.undecided) == 0:
		o.key = "refused" // whatever the reason
	case o.untouched:
		o.key = "untouched"
		for _, s := range o.settings {
			o.key += "\n" + s.name + "=" + s.value
		}
		for _, u := range o.undecided {
			o.key += "\n?" + u
		}
	}
	return o
}

// refusal is the outcome of a request that goes nowhere.
func refusal(reason string, status int, text string, origins ...bundle.Origin) *outcome {
	return (&outcome{passes: refused, end: "refused", reason: reason, status: status, text: text, origins: origins}).seal()
}

// verdict is the word of the report for an outcome.
func (o *outcome) verdict() string {
	switch {
	case o.answer && (o.passes != refused || o.reason == byAnswer):
		return trace.Answered
	case o.passes != refused:
		return trace.Reached
	case o.reason == byPolicy || o.reason == byToken || o.reason == byAuthorizer:
		return trace.Denied
	}
	return trace.Failed
}
