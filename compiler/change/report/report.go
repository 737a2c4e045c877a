// Package report holds what a comparison of two bundles found, and writes it: for people, for comments on pull requests, for
// programs, and as findings.
//
// Differences that one object causes in one way, over all callers and servers, are shown as one group, the gravest first.
// Whatever does not fit into a comment is counted at its end.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Kinds of differences, the gravest first.
const (
	Opened  = "opened"  // what was refused, always or in part, is let through
	Closed  = "closed"  // what was let through is refused, always or in part
	Moved   = "moved"   // it ends elsewhere, or in other shares, or with another answer
	Changed = "changed" // it ends where it did, on another way: rewritten, with another timeout, encrypted or not
	Tuned   = "tuned"   // no single request shows it: pools, balancing, ejection, logs
)

// Kinds lists the kinds of differences, the gravest first.
func Kinds() []string { return []string{Opened, Closed, Moved, Changed, Tuned} }

// Categories of differences, by what lies behind them, the gravest first.
const (
	AccessWidened  = "access-widened"
	AccessNarrowed = "access-narrowed"
	Encryption     = "encryption"
	Egress         = "egress"
	Availability   = "availability"
	Routing        = "routing"
	Tuning         = "tuning"
	Observability  = "observability"
)

// Categories lists the categories of differences, the gravest first.
func Categories() []string {
	return []string{AccessWidened, AccessNarrowed, Encryption, Egress, Availability, Routing, Tuning, Observability}
}

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

// CompareRefs orders references.
func CompareRefs(a, b Ref) int {
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
	Reach       Reach
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

	Resources []string // TYPE NAME of those that it is made of
	Bytes     int      // of those of them that are new or others: what a proxy is sent for it
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
	Kind     string // of the difference that no request could be found for; "": something else is undecided
	Category string // of that difference

	Resources []string // TYPE NAME of those that it is about; none: any
}

// Ledger accounts for all that differs between two bundles: each resource, by type and name, and each workload is proven
// equal in effect, has a witness, or is undecided.
type Ledger struct {
	Changed   int `json:"changed"`
	Equal     int `json:"equal"`
	Witnessed int `json:"witnessed"`
	Undecided int `json:"undecided"`

	Entries []Entry `json:"entries,omitempty"` // each thing that differs, sorted by name
}

// Entry says what became of one resource or workload that differs.
type Entry struct {
	Name string `json:"name"` // TYPE NAME
	Fate string `json:"fate"` // equal, witnessed or undecided
	Why  string `json:"why,omitempty"`
}

// Fates of what differs.
const (
	FateEqual     = "equal"
	FateWitnessed = "witnessed"
	FateUndecided = "undecided"
)

// Why something that differs is equal in effect.
const (
	WhyNames   = "only names and other fields that no request shows differ"
	WhyUnused  = "no proxy that has it sends a request there"
	WhyProven  = "all requests that come to it have the same outcome"
	WhyRefused = "all requests that come to it are refused on both sides"
)

// Witness is one request of a difference, complete enough to be followed in both bundles.
type Witness struct {
	From      Ref           `json:"from"`
	To        string        `json:"to"` // URL
	Method    string        `json:"method,omitempty"`
	Headers   []string      `json:"headers,omitempty"` // NAME: VALUE
	Address   string        `json:"address,omitempty"` // where the caller connects to, if that is no address of the host
	SNI       string        `json:"sni,omitempty"`
	Source    string        `json:"source,omitempty"`
	Principal string        `json:"principal,omitempty"`
	Token     *WitnessToken `json:"token,omitempty"`
	Server    *Ref          `json:"server,omitempty"`
}

// WitnessToken is the token of a request.
type WitnessToken struct {
	Issuer string         `json:"issuer"`
	Claims map[string]any `json:"claims,omitempty"`
	In     string         `json:"in,omitempty"`
	Valid  *bool          `json:"valid,omitempty"`
}

// String is the witness for people, as meshc route takes it.
func (w Witness) String() string {
	var out []string
	if w.Method != "" {
		out = append(out, w.Method)
	}
	out = append(out, w.To, "from", w.From.String())
	for _, h := range w.Headers {
		out = append(out, "-H "+strconv.Quote(h))
	}
	if w.Principal != "" {
		out = append(out, "--principal "+w.Principal)
	}
	if w.Address != "" {
		out = append(out, "--address "+w.Address)
	}
	if w.Source != "" && w.From.Kind != KindWorkload {
		out = append(out, "--source "+w.Source)
	}
	if w.Token != nil {
		b, err := json.Marshal(w.Token.Claims)
		if err == nil {
			out = append(out, fmt.Sprintf("with a token of %s %s", w.Token.Issuer, b))
		}
	}
	return strings.Join(out, " ")
}

// AnyHost stands for every name that is not known.
const AnyHost = "*"

// AtPlaces begins the detail of an end of which it is known where it is: it goes on from a verdict, as "allowed at".
const AtPlaces = "at "
