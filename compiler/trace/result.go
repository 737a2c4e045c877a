package trace

import "github.com/meshc/meshc/compiler/bundle"

// Verdict of a request or of one branch of it.
const (
	Reached  = "allowed"  // it reaches an application, or leaves the mesh
	Denied   = "denied"   // an access policy refuses it
	Answered = "answered" // a proxy answers in place of the application, because the input says so
	Failed   = "failed"   // nothing takes it: no route, no endpoint, TLS that does not fit
	Depends  = "depends"  // branches end differently
)

// Result is what happens to a request.
type Result struct {
	Request string `json:"request"`
	From    string `json:"from"`
	Verdict string `json:"verdict"` // of all branches together; Depends when they differ
	Path    *Path  `json:"path"`
}

// Path is a run of steps that ends with an outcome or a choice.
type Path struct {
	Steps   []Step   `json:"steps"`
	Outcome *Outcome `json:"outcome,omitempty"`
	Choice  *Choice  `json:"choice,omitempty"`
}

// Step is one thing that a proxy does.
type Step struct {
	Proxy   string          `json:"proxy"` // namespace/name
	Kind    string          `json:"kind"`  // listener, chain, tls, route, rbac, jwt, ext_authz, fault, cors, cluster, endpoint, filter, mirror, host
	Name    string          `json:"name"`  // of the resource or rule
	Text    string          `json:"text,omitempty"`
	Effects []Effect        `json:"effects,omitempty"`
	Notes   []string        `json:"notes,omitempty"`
	Origins []bundle.Origin `json:"origins,omitempty"`
}

// Outcome ends a path.
type Outcome struct {
	Verdict string   `json:"verdict"`
	Status  int      `json:"status,omitempty"` // HTTP status that the client gets from a proxy
	At      string   `json:"at"`               // workload or address that is reached, or proxy that ends the request
	Port    uint16   `json:"port,omitempty"`   // of the application that is reached
	Path    string   `json:"path,omitempty"`   // of the request that it gets
	Host    string   `json:"host,omitempty"`
	To      string   `json:"location,omitempty"` // of a redirect
	Effects []Effect `json:"effects,omitempty"`  // what the answer of a proxy is like
	Text    string   `json:"text"`
	// Misread: the connection is none of the protocol that the proxy expects, so that no request at all comes through on it.
	Misread bool `json:"-"`
	// Unprotected: the connection fails for how it is protected: plain text where TLS is wanted, TLS that nothing ends, a handshake
	// that does not come about.
	Unprotected bool            `json:"-"`
	Origins     []bundle.Origin `json:"origins,omitempty"`
}

// Choice is a point where the walk cannot tell which way a request takes.
type Choice struct {
	On       string   `json:"on"` // what decides
	Branches []Branch `json:"branches"`
}

// Branch is one way.
type Branch struct {
	When    string          `json:"when"`
	Chance  float64         `json:"chance,omitempty"` // 0 to 1; 0: not known
	Origins []bundle.Origin `json:"origins,omitempty"`
	Path    *Path           `json:"path"`
}

// Leaf is one end of a path.
type Leaf struct {
	Chance  float64 // 0: not known
	When    []string
	Outcome *Outcome
}

// Leaves lists the ends of a path in the order of the branches.
func (p *Path) Leaves() []Leaf {
	if p.Choice == nil {
		return []Leaf{{Chance: 1, Outcome: p.Outcome}}
	}
	var out []Leaf
	for _, b := range p.Choice.Branches {
		for _, l := range b.Path.Leaves() {
			out = append(out, Leaf{Chance: b.Chance * l.Chance, When: append([]string{b.When}, l.When...), Outcome: l.Outcome})
		}
	}
	return out
}

// verdict is that of all leaves together.
func (p *Path) verdict() string {
	v := ""
	for _, l := range p.Leaves() {
		if v != "" && v != l.Outcome.Verdict {
			return Depends
		}
		v = l.Outcome.Verdict
	}
	return v
}

// AllSteps lists the steps of all branches.
func (p *Path) AllSteps() []Step {
	out := append([]Step(nil), p.Steps...)
	if p.Choice != nil {
		for _, b := range p.Choice.Branches {
			out = append(out, b.Path.AllSteps()...)
		}
	}
	return out
}
