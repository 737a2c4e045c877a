package report

import (
	"encoding/json"
	"io"
)

// FormatVersion is the version of the JSON of a report. Fields may be added to a version, and none changes its meaning.
const FormatVersion = "1"

type jsonReport struct {
	FormatVersion string           `json:"formatVersion"`
	Base          string           `json:"base"` // digest
	Head          string           `json:"head"`
	Differences   []jsonDifference `json:"differences"`
	Undecided     []jsonUndecided  `json:"undecided"`
	Added         []Ref            `json:"added"`
	Removed       []Ref            `json:"removed"`
	Ledger        Ledger           `json:"ledger"`
	Reach         Reach            `json:"blastRadius"`
	Findings      []jsonFinding    `json:"findings"`
}

type jsonTo struct {
	Host      string `json:"host,omitempty"`
	Port      uint16 `json:"port,omitempty"`
	Workloads []Ref  `json:"workloads,omitempty"`
}

type jsonEnd struct {
	Verdict string `json:"verdict"`
	Detail  string `json:"detail,omitempty"`
}

type jsonDifference struct {
	Category  string    `json:"category"`
	Kind      string    `json:"kind"`
	From      []Ref     `json:"from"`
	To        jsonTo    `json:"to"`
	Condition string    `json:"condition,omitempty"`
	Witness   Witness   `json:"witness"`
	Base      jsonEnd   `json:"base"`
	Head      jsonEnd   `json:"head"`
	Causes    []Cause   `json:"causes"`
	Reach     jsonReach `json:"blastRadius"`
}

// jsonReach is whom one difference reaches: the workloads at both of its ends, and what each of their proxies is sent for it, at most.
type jsonReach struct {
	Workloads int `json:"workloads"`
	Bytes     int `json:"bytes"`
}

type jsonUndecided struct {
	From     []Ref   `json:"from,omitempty"`
	To       jsonTo  `json:"to"`
	Resource string  `json:"resource"`
	Why      string  `json:"why"`
	Causes   []Cause `json:"causes"`
}

type jsonFinding struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// JSON writes a report for programs. It is complete, however long it gets.
func (r *Report) JSON(w io.Writer) error {
	out := jsonReport{FormatVersion: FormatVersion, Base: r.Base, Head: r.Head, Differences: []jsonDifference{}, Undecided: []jsonUndecided{},
		Added: append([]Ref{}, r.Added...), Removed: append([]Ref{}, r.Removed...), Ledger: r.Ledger, Reach: r.Reach, Findings: []jsonFinding{}}
	for _, d := range r.Differences {
		out.Differences = append(out.Differences, jsonDifference{d.Category, d.Kind, d.From, jsonTo{d.Host, d.Port, d.Servers}, d.Condition, d.Witness,
			jsonEnd(d.Base), jsonEnd(d.Head), d.Causes, jsonReach{d.workloads(), d.Bytes}})
	}
	for _, u := range r.Undecided {
		out.Undecided = append(out.Undecided, jsonUndecided{u.From, jsonTo{u.Host, u.Port, u.Servers}, u.Resource, u.Why, u.Causes})
	}
	if out.Reach.Each == nil {
		out.Reach.Each = []Sent{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}
