package change

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
)

// Kinds of callers and servers.
const (
	KindWorkload = "workload"
	KindGateway  = "gateway" // requests from outside that enter there
	KindOutside  = "outside" // anybody who connects to the servers
)

// Ref names a caller or a server.
type Ref struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Kind      string `json:"kind"`
}

// String is the reference for people.
func (r Ref) String() string {
	switch r.Kind {
	case KindOutside:
		return "anybody"
	case KindGateway:
		return "gateway " + r.Namespace + "/" + r.Name
	}
	return r.Namespace + "/" + r.Name
}

func compareRefs(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Report lists what two bundles do differently, and accounts for all that differs between them.
type Report struct {
	Base, Head  string        // digests
	Differences []*Difference // the gravest first
	Undecided   []Undecided
	Added       []Ref // workloads that only head has
	Removed     []Ref // workloads that only base has
	Ledger      Ledger
	Waived      []Waived // differences that are accepted, with the reason
	Stale       []Waiver // waivers that accept nothing
}

// Differs tells whether the two bundles are not proven equal.
func (r *Report) Differs() bool {
	return len(r.Differences)+len(r.Undecided)+len(r.Added)+len(r.Removed) > 0
}

// Difference is a set of requests that the bundles treat differently, in one way.
type Difference struct {
	Category   string
	Kind       string
	From       []Ref // for each of which the witness shows it
	Host       string
	Port       uint16
	Servers    []Ref
	Condition  string // which requests; "": all
	Witness    Witness
	Base, Head End
	Causes     []Cause

	resources []string
}

// End is what happens to the requests of a difference on one side.
type End struct {
	Verdict string // of trace
	Detail  string
}

// Cause is a place in the input that makes a difference: in the changed side, or in base for what was deleted.
type Cause struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Object string `json:"object"`
	Field  string `json:"field,omitempty"`
}

// Undecided is what may differ and could not be decided.
type Undecided struct {
	From     []Ref
	Host     string // "*" and port 0: all
	Port     uint16
	Servers  []Ref
	Resource string
	Why      string
	Causes   []Cause
}

// Compare finds what two bundles do differently.
func Compare(base, head *bundle.Bundle) (*Report, error) {
	r := &Report{Base: base.Digest.String(), Head: head.Digest.String()}
	if base.Digest == head.Digest {
		return r, nil
	}
	f := newFinder(base, head)
	for _, w := range f.head.workloads {
		if f.base.byName[w.key()] == nil {
			r.Added = append(r.Added, w.ref())
		}
	}
	for _, w := range f.base.workloads {
		if f.head.byName[w.key()] == nil {
			r.Removed = append(r.Removed, w.ref())
		}
	}
	if err := f.run(); err != nil {
		return nil, err
	}
	r.Differences, r.Undecided = f.found, f.open
	for _, d := range r.Differences {
		slices.SortFunc(d.From, compareRefs)
		slices.SortFunc(d.Servers, compareRefs)
	}
	slices.SortStableFunc(r.Differences, func(a, b *Difference) int {
		return cmp.Or(cmp.Compare(slices.Index(Kinds(), a.Kind), slices.Index(Kinds(), b.Kind)),
			cmp.Compare(slices.Index(Categories(), a.Category), slices.Index(Categories(), b.Category)),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Condition, b.Condition), cmp.Compare(a.Witness.To, b.Witness.To))
	})
	r.Ledger = f.ledger(r)
	return r, nil
}

// report adds a cell to the differences: to the one that says the same of others, if there is one.
func (f *finder) report(c placed, from Ref, servers []Ref) {
	if c.undecided != "" {
		u := Undecided{Host: c.at.host, Port: c.at.port, Servers: servers, Resource: "filter chain", Why: c.undecided, Causes: f.causes(c.cell)}
		if from.Kind != KindOutside {
			u.From = []Ref{from}
		}
		f.undecided(u)
		return
	}
	w := witnessOf(c)
	key := strings.Join([]string{c.kind, c.category, c.at.host, c.scheme, c.where, w.key(), c.base.text + c.base.outcome.text, c.head.text + c.head.outcome.text, from.Kind}, "\x00")
	if d := f.byKey[key]; d != nil {
		addRef(&d.From, from)
		for _, s := range servers {
			addRef(&d.Servers, s)
		}
		return
	}
	w.From = from
	if len(servers) > 0 && from.Kind == KindOutside {
		w.Server = &servers[0]
	}
	d := &Difference{Category: c.category, Kind: c.kind, From: []Ref{from}, Host: c.at.host, Port: c.at.port, Servers: slices.Clone(servers), Condition: conditionText(c),
		Witness: w, Causes: f.causes(c.cell), resources: append(slices.Clone(c.base.resources), c.head.resources...)}
	d.Base, d.Head = ends(c.cell)
	f.byKey[key] = d
	f.found = append(f.found, d)
}

func addRef(list *[]Ref, r Ref) {
	if !slices.Contains(*list, r) {
		*list = append(*list, r)
	}
}

// ends describes both sides of a cell: the outcomes, and where both go the same way what differs on it.
func ends(c cell) (base, head End) {
	base, head = End{c.base.verdict(), c.base.outcome.text}, End{c.head.verdict(), c.head.outcome.text}
	if c.kind == Closed && head.Verdict == trace.Reached {
		head.Verdict = trace.Failed // a part of the requests
	}
	if c.kind == Opened && base.Verdict == trace.Reached {
		base.Verdict = trace.Failed
	}
	if c.kind == Changed || c.kind == Tuned {
		base.Detail, head.Detail = settingsText(c.base.settings, c.head.settings)
	}
	if base.Detail == "" {
		base.Detail = c.base.outcome.end
	}
	if head.Detail == "" {
		head.Detail = c.head.outcome.end
	}
	return base, head
}

// conditionText says which requests a cell holds.
func conditionText(c placed) string {
	var parts []string
	switch t := c.token; {
	case t == nil:
	case t.invalid:
		parts = append(parts, "with a token of "+t.issuer+" that is not valid")
	default:
		parts = append(parts, "with a token of "+t.issuer+" in "+t.place)
	}
	if c.where != "" {
		parts = append(parts, c.where)
	}
	if c.conn.TLS && (c.scheme == "http" || c.scheme == "tcp") {
		parts = append(parts, "over mutual TLS")
	}
	return strings.Join(parts, ", ")
}

func (f *finder) undecided(u Undecided) {
	if len(u.Causes) == 0 {
		u.Causes = f.anyCause()
	}
	for i := range f.open {
		o := &f.open[i]
		if o.Host == u.Host && o.Port == u.Port && o.Resource == u.Resource && o.Why == u.Why {
			for _, r := range u.From {
				addRef(&o.From, r)
			}
			for _, r := range u.Servers {
				addRef(&o.Servers, r)
			}
			return
		}
	}
	f.open = append(f.open, u)
}
