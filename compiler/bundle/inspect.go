package bundle

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// Summary is what Inspect shows.
type Summary struct {
	Digest        string            `json:"digest"`
	Provenance    string            `json:"provenance"` // digest
	FormatVersion string            `json:"formatVersion"`
	Compiler      string            `json:"compiler"`
	Source        SourceInfo        `json:"source"`
	EnvoyMin      string            `json:"envoyMin"`
	Requirements  []Requirement     `json:"requirements"`
	Resources     map[string]int    `json:"resources"` // by type
	Bytes         int               `json:"bytes"`     // of all resources
	Sets          int               `json:"sets"`
	Selectors     []Selector        `json:"selectors"`
	Classes       []ClassSummary    `json:"classes"`
	Workloads     []Workload        `json:"workloads"`
	Origins       []ResourceSummary `json:"origins"`
}

// ClassSummary is a class in a Summary.
type ClassSummary struct {
	ID              string   `json:"id"`
	Gateway         bool     `json:"gateway"`
	Namespace       string   `json:"namespace"`
	Selectors       []string `json:"selectors"`
	Workloads       []string `json:"workloads"`
	ServiceAccounts []string `json:"serviceAccounts"`
	Resources       int      `json:"resources"`
	Bytes           int      `json:"bytes"`

	Requirements []Requirement `json:"requirements"`
}

// ResourceSummary is a resource in a Summary.
type ResourceSummary struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Digest  string   `json:"digest"`
	Bytes   int      `json:"bytes"`
	Origins []Origin `json:"origins"`
}

// Summary counts what is in the bundle.
func (b *Bundle) Summary() Summary {
	s := Summary{Digest: b.Digest.String(), Provenance: b.Provenance.Digest.String(), FormatVersion: FormatVersion, EnvoyMin: b.EnvoyMin, Requirements: orEmpty(b.Requirements()),
		Compiler: b.Provenance.Compiler, Source: b.Provenance.Source,
		Resources: map[string]int{}, Sets: len(b.Sets), Selectors: orEmpty(b.Selectors), Workloads: orEmpty(b.Workloads),
		Classes: []ClassSummary{}, Origins: make([]ResourceSummary, 0, len(b.Resources))}
	for _, t := range Types() {
		s.Resources[shortType(t)] = 0
	}
	for _, r := range b.Resources {
		s.Resources[shortType(r.Type)]++
		s.Bytes += len(r.Bytes)
		s.Origins = append(s.Origins, ResourceSummary{Type: r.Type, Name: r.Name, Digest: r.Digest.String(), Bytes: len(r.Bytes), Origins: orEmpty(r.Origins)})
	}
	for _, c := range b.Classes {
		cs := ClassSummary{ID: c.ID, Gateway: c.Gateway, Namespace: c.Namespace, Selectors: orEmpty(c.Selectors), Workloads: orEmpty(c.Workloads),
			ServiceAccounts: orEmpty(c.ServiceAccounts), Requirements: orEmpty(c.Requirements())}
		for _, r := range c.Resources() {
			cs.Resources++
			cs.Bytes += len(r.Bytes)
		}
		s.Classes = append(s.Classes, cs)
	}
	return s
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Inspect writes a summary for people.
func (b *Bundle) Inspect(w io.Writer) error {
	s := b.Summary()
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	p := func(format string, args ...any) { fmt.Fprintf(tw, format, args...) } // errors come back from Flush
	p("digest\t%s\nprovenance\t%s\n  compiler\t%s\n  source\t%s\n", s.Digest, s.Provenance, s.Compiler, s.Source)
	p("format\t%s\nneeds Envoy\t%s or newer\n", s.FormatVersion, s.EnvoyMin)
	extensions := 0
	for _, r := range s.Requirements {
		if r.Name == Extension {
			extensions++ // their names are in the JSON form
		} else {
			p("  and\t%s\n", r)
		}
	}
	p("  extensions\t%d\n", extensions)
	p("resources\t%d, %d bytes, in %d sets\n", len(b.Resources), s.Bytes, s.Sets)
	for _, t := range Types() {
		p("  %s\t%d\n", shortType(t), s.Resources[shortType(t)])
	}
	p("selectors\t%d\nworkloads\t%d\nclasses\t%d\n\n", len(s.Selectors), len(s.Workloads), len(s.Classes))
	p("CLASS\tKIND\tNAMESPACE\tWORKLOADS\tRESOURCES\tBYTES\n")
	for _, c := range s.Classes {
		kind := "sidecar"
		if c.Gateway {
			kind = "router"
		}
		p("%s\t%s\t%s\t%d\t%d\t%d\n", c.ID, kind, c.Namespace, len(c.Workloads), c.Resources, c.Bytes)
	}
	return tw.Flush()
}

// InspectJSON writes the summary with every resource and its origins.
func (b *Bundle) InspectJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(b.Summary())
}
