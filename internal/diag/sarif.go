package diag

import (
	"cmp"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// The part of SARIF 2.1.0 that code scanning reads.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string             `json:"id"`
		ShortDescription     sarifText          `json:"shortDescription"`
		FullDescription      sarifText          `json:"fullDescription"`
		Help                 sarifMarkdown      `json:"help"`
		HelpURI              string             `json:"helpUri,omitempty"`
		DefaultConfiguration sarifConfiguration `json:"defaultConfiguration"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifMarkdown struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	sarifResult struct {
		RuleID              string            `json:"ruleId"`
		RuleIndex           int               `json:"ruleIndex"`
		Level               string            `json:"level"`
		Message             sarifText         `json:"message"`
		Locations           []sarifLocation   `json:"locations"`
		RelatedLocations    []sarifLocation   `json:"relatedLocations,omitempty"`
		PartialFingerprints map[string]string `json:"partialFingerprints"`

		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
	sarifLocation struct {
		ID               int            `json:"id,omitempty"`
		PhysicalLocation sarifPhysical  `json:"physicalLocation"`
		LogicalLocations []sarifLogical `json:"logicalLocations,omitempty"`
		Message          *sarifText     `json:"message,omitempty"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
		EndColumn   int `json:"endColumn"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
)

const (
	homePage = "https://github.com/meshc/meshc"
	codePage = homePage + "/blob/main/docs/diagnostics.md"
)

// printSARIF writes one run. Every result has a place with its end, a rule with its texts and a fingerprint that does not
// depend on lines: without one of these, code scanning shows less or nothing.
func printSARIF(w io.Writer, l List, o Options, text *texts) error {
	l = append(slices.Clip(l), o.Silenced...) // which readers hide and count
	codes := codesOf(l)
	rules := []sarifRule{}
	for _, c := range codes {
		rules = append(rules, sarifRuleOf(c, l, o))
	}
	prints := fingerprints(l)
	results := []sarifResult{}
	for i, d := range l {
		loc := sarifPlace(d.Pos, text)
		if s := subject(d); s != "" {
			loc.LogicalLocations = []sarifLogical{{FullyQualifiedName: s, Kind: "object"}}
		}
		at, _ := slices.BinarySearch(codes, d.Code)
		r := sarifResult{
			RuleID: d.Code, RuleIndex: at, Level: sarifLevel(d.Severity), Message: sarifText{noLinks(sentence(d))},
			Locations: []sarifLocation{loc}, PartialFingerprints: map[string]string{"meshc/v1": prints[i]},
		}
		if s := d.Silenced; s != nil {
			r.Suppressions = []sarifSuppression{{suppressionKind(s), s.Reason}}
		}
		for n, rel := range d.Related {
			rl := sarifPlace(rel.Pos, text)
			rl.ID, rl.Message = n+1, &sarifText{noLinks(rel.Message)}
			r.RelatedLocations = append(r.RelatedLocations, rl)
		}
		results = append(results, r)
	}
	return encode(w, sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{{
			Tool:       sarifTool{sarifDriver{Name: "meshc", Version: o.Version, InformationURI: homePage, Rules: rules}},
			ColumnKind: "unicodeCodePoints",
			Results:    results,
		}},
	})
}

// codesOf returns the codes of findings, sorted.
func codesOf(l List) []string {
	var codes []string
	for _, d := range l {
		codes = append(codes, d.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// sarifRuleOf describes a code: by its declaration, or, for a rule of the user's that says nothing of itself, by the first
// finding.
func sarifRuleOf(id string, l List, o Options) sarifRule {
	var c Code
	known := false
	if o.Code != nil {
		c, known = o.Code(id)
	}
	first := l[slices.IndexFunc(l, func(d Diagnostic) bool { return d.Code == id })]
	if !known {
		c = Code{Severity: first.Severity}
	}
	c.Means = cmp.Or(c.Means, first.Message)
	c.Remedy = cmp.Or(c.Remedy, first.Help, "See the rule "+id+".")
	full := c.Sentence()
	if c.Detail != "" {
		full += " " + c.Detail
	}
	markdown := full + "\n\n"
	if c.Example != "" {
		markdown += "For example: " + c.Example + "\n\n"
	}
	r := sarifRule{
		ID: id, ShortDescription: sarifText{noLinks(c.Sentence())}, FullDescription: sarifText{noLinks(full)},
		Help:                 sarifMarkdown{noLinks(c.Remedy), noLinks(markdown + "What to do: " + c.Remedy)},
		DefaultConfiguration: sarifConfiguration{sarifLevel(c.Severity)},
	}
	if known && c.Example != "" {
		r.HelpURI = codePage
	}
	return r
}

// sarifPlace is a place with its end: where that is not known, the end of the word, or of the line.
func sarifPlace(p Pos, text *texts) sarifLocation {
	file, line := place(Diagnostic{Pos: p})
	region := sarifRegion{StartLine: line, StartColumn: max(p.Column, 1), EndLine: p.EndLine, EndColumn: p.EndColumn}
	if region.EndLine == 0 || region.EndColumn == 0 {
		region.EndLine = line
		region.EndColumn = text.end(p, region.StartColumn)
	}
	uri := (&url.URL{Path: filepath.ToSlash(file)}).String() // "./" before a colon that would end a scheme
	return sarifLocation{PhysicalLocation: sarifPhysical{ArtifactLocation: sarifArtifact{uri}, Region: region}}
}

// noLinks keeps viewers from making links, which a message of SARIF may hold as [text](target), out of what was in the input.
func noLinks(s string) string { return strings.ReplaceAll(s, "](", "] (") }

func sarifLevel(s Severity) string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	default:
		return "note"
	}
}
