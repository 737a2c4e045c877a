package policies

import (
	"cmp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/meshc/meshc/internal/diag"
)

// PackCodes returns what the rules of the built-in pack declare in their METADATA, sorted by code.
func PackCodes() ([]diag.Code, error) {
	l := newLoader()
	if err := l.pack(); err != nil {
		return nil, err
	}
	var out []diag.Code
	for _, m := range l.modules {
		for _, r := range m.Rules {
			if !reporting.MatchString(ruleName(r)) || len(r.Annotations) == 0 {
				continue
			}
			out = append(out, declared(r.Annotations[0]))
		}
	}
	slices.SortFunc(out, func(a, b diag.Code) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// codes are those of the user's rules: what their METADATA declares.
func (e *engine) codes() map[string]diag.Code {
	out := map[string]diag.Code{}
	for _, r := range e.rules {
		if !r.builtin {
			out[r.code] = diag.Code{ID: r.code, Severity: r.severity, Means: r.title, Detail: r.about, Remedy: r.help}
		}
	}
	return out
}

// declared reads METADATA as the declaration of a code.
func declared(a *ast.Annotations) diag.Code {
	text := func(key string) string {
		s, _ := a.Custom[key].(string)
		return s
	}
	return diag.Code{
		ID: text("code"), Severity: severity(text("severity"), diag.Warning),
		Means: strings.TrimSpace(a.Title), Detail: strings.TrimSpace(a.Description), Remedy: text("help"),
	}
}
