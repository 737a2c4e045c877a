package diag

import (
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
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
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
		ID string `json:"id"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID              string            `json:"ruleId"`
		RuleIndex           int               `json:"ruleIndex"`
		Level               string            `json:"level"`
		Message             sarifText         `json:"message"`
		Locations           []sarifLocation   `json:"locations"`
		RelatedLocations    []sarifLocation   `json:"relatedLocations,omitempty"`
		PartialFingerprints map[string]string `json:"partialFingerprints"`
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
		StartColumn int `json:"startColumn,omitempty"`
		EndLine     int `json:"endLine,omitempty"`
		EndColumn   int `json:"endColumn,omitempty"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
)

// printSARIF writes one run. Every result has a place, a rule and a fingerprint that does not depend on lines.
func printSARIF(w io.Writer, l List, o Options) error {
	var codes []string
	for _, d := range l {
		codes = append(codes, d.Code)
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	rules := []sarifRule{}
	for _, c := range codes {
		rules = append(rules, sarifRule{ID: c})
	}
	prints := fingerprints(l)
	results := []sarifResult{}
	for i, d := range l {
		loc := sarifPlace(d.Pos, d)
		if s := subject(d); s != "" {
			loc.LogicalLocations = []sarifLogical{{FullyQualifiedName: s, Kind: "object"}}
		}
		at, _ := slices.BinarySearch(codes, d.Code)
		r := sarifResult{
			RuleID: d.Code, RuleIndex: at, Level: sarifLevel(d.Severity), Message: sarifText{noLinks(sentence(d))},
			Locations: []sarifLocation{loc}, PartialFingerprints: map[string]string{"meshc/v1": prints[i]},
		}
		for n, rel := range d.Related {
			rl := sarifPlace(rel.Pos, Diagnostic{Pos: rel.Pos})
			rl.ID, rl.Message = n+1, &sarifText{noLinks(rel.Message)}
			r.RelatedLocations = append(r.RelatedLocations, rl)
		}
		results = append(results, r)
	}
	return encode(w, sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{{
			Tool:    sarifTool{sarifDriver{Name: "meshc", Version: o.Version, InformationURI: "https://github.com/meshc/meshc", Rules: rules}},
			Results: results,
		}},
	})
}

func sarifPlace(p Pos, d Diagnostic) sarifLocation {
	file, line := place(d)
	region := sarifRegion{StartLine: line, StartColumn: p.Column, EndLine: p.EndLine, EndColumn: p.EndColumn}
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
