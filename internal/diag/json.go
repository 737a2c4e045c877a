package diag

import (
	"encoding/json"
	"io"
)

type jsonRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type jsonRelated struct {
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Column  int     `json:"column"`
	Object  jsonRef `json:"object"`
	Message string  `json:"message"`
}

type jsonDiagnostic struct {
	Code      string        `json:"code"`
	Severity  string        `json:"severity"`
	File      string        `json:"file"`
	Line      int           `json:"line"`
	Column    int           `json:"column"`
	EndLine   int           `json:"endLine,omitempty"`
	EndColumn int           `json:"endColumn,omitempty"`
	Object    jsonRef       `json:"object"`
	Field     string        `json:"field"`
	Message   string        `json:"message"`
	Help      string        `json:"help"`
	Related   []jsonRelated `json:"related"`

	Suppression *jsonSuppression `json:"suppression,omitempty"`
}

// jsonSuppression says why a finding was silenced: inSource by an annotation of its object, or external by the settings.
type jsonSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification"`
	File          string `json:"file"`
	Line          int    `json:"line"`
}

func suppressionKind(s *Silenced) string {
	if s.InSource {
		return "inSource"
	}
	return "external"
}

// printJSON writes {"diagnostics":[…],"silenced":[…]}; every key is always there, so that scripts need no guards.
func printJSON(w io.Writer, l, silenced List) error {
	return encode(w, struct {
		Diagnostics []jsonDiagnostic `json:"diagnostics"`
		Silenced    []jsonDiagnostic `json:"silenced"`
	}{jsonDiagnostics(l), jsonDiagnostics(silenced)})
}

func jsonDiagnostics(l List) []jsonDiagnostic {
	out := []jsonDiagnostic{}
	for _, d := range l {
		j := jsonDiagnostic{
			Code: d.Code, Severity: d.Severity.String(), File: d.Pos.File, Line: d.Pos.Line, Column: d.Pos.Column,
			EndLine: d.Pos.EndLine, EndColumn: d.Pos.EndColumn, Object: jsonRef(d.Object), Field: d.Field,
			Message: d.Message, Help: d.Help, Related: []jsonRelated{},
		}
		for _, r := range d.Related {
			j.Related = append(j.Related, jsonRelated{File: r.File, Line: r.Line, Column: r.Column, Object: jsonRef(r.Object), Message: r.Message})
		}
		if s := d.Silenced; s != nil {
			j.Suppression = &jsonSuppression{suppressionKind(s), s.Reason, s.Pos.File, s.Pos.Line}
		}
		out = append(out, j)
	}
	return out
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
