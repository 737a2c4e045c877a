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
}

// printJSON writes {"diagnostics":[…]}; every key is always there, so that scripts need no guards.
func printJSON(w io.Writer, l List) error {
	out := struct {
		Diagnostics []jsonDiagnostic `json:"diagnostics"`
	}{Diagnostics: []jsonDiagnostic{}}
	for _, d := range l {
		j := jsonDiagnostic{
			Code: d.Code, Severity: d.Severity.String(), File: d.Pos.File, Line: d.Pos.Line, Column: d.Pos.Column,
			EndLine: d.Pos.EndLine, EndColumn: d.Pos.EndColumn, Object: jsonRef(d.Object), Field: d.Field,
			Message: d.Message, Help: d.Help, Related: []jsonRelated{},
		}
		for _, r := range d.Related {
			j.Related = append(j.Related, jsonRelated{File: r.File, Line: r.Line, Column: r.Column, Object: jsonRef(r.Object), Message: r.Message})
		}
		out.Diagnostics = append(out.Diagnostics, j)
	}
	return encode(w, out)
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
