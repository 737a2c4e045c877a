// Package policies judges objects by Rego: a pack of its own and the folders of the user.
//
// The rules of all packages are compiled once, together with a generated package that collects, for each kind of object,
// the results of just those rules that can speak about that kind; one evaluation of one prepared query per object then
// answers for every rule. Which kinds a rule looks at is read off its body (input.kind == "X"); a rule that does not say
// is asked about every object. Packages that never look at input are asked once, about the whole set in data.meshc.
//
// Rules are named as in conftest: deny, violation (errors) and warn, with an optional _suffix. Rego that could see the
// clock, the network, the environment or chance does not compile here. The engine adds the place: the object's, or that
// of the field that a result names.
package policies

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Codes of what can be wrong with policies themselves.
const (
	CodeRego      = "MESHC1700" // does not parse or compile, or uses a builtin that is not allowed
	CodeNoRule    = "MESHC1701" // a package, or a folder, without a deny or warn rule
	CodeNeverMet  = "MESHC1702" // no rule of a package met a document
	CodeSlow      = "MESHC1703" // a policy over its deadline
	CodeFailed    = "MESHC1704" // evaluation ended with an error
	CodeBadResult = "MESHC1705" // a result that is neither a string nor an object with msg
	CodeReserved  = "MESHC1706" // a package name of the engine's own
)

//go:embed *.rego
var pack embed.FS

const maxRego = 1 << 20

// Options says what to evaluate beside the built-in pack.
type Options struct {
	Dirs     []string      // folders of Rego, searched through; *_test.rego is left out
	Deadline time.Duration // for one object and all rules; 0 means 5 s
	Workers  int           // goroutines; 0 means one
}

// Stats counts what was judged, so that a policy that never ran cannot look like one that passed.
type Stats struct {
	Packages int
	Rules    int
	Objects  int
	Findings int
}

// Eval judges the objects. The error is a fault of the machine; what is wrong with objects or policies are findings.
func Eval(ctx context.Context, objs []*schema.Object, o Options) (diag.List, Stats, error) {
	if o.Deadline <= 0 {
		o.Deadline = 5 * time.Second
	}
	l := &loader{modules: map[string]*ast.Module{}, builtin: map[string]bool{}}
	if err := l.pack(); err != nil {
		return nil, Stats{}, err
	}
	for _, d := range o.Dirs {
		if err := l.dir(d); err != nil {
			return nil, Stats{}, err
		}
	}
	if l.list.HasErrors() {
		return l.list, Stats{}, nil
	}
	e, found, err := newEngine(ctx, l, objs)
	if err != nil || found.HasErrors() {
		return found, Stats{}, err
	}
	out, err := e.eval(ctx, objs, o)
	if err != nil {
		return nil, Stats{}, err
	}
	out.Add(found...)
	out.Sort()
	return out, Stats{Packages: len(e.packages), Rules: len(e.rules), Objects: len(objs), Findings: len(out)}, nil
}

// loader collects parsed modules by file name.
type loader struct {
	modules map[string]*ast.Module
	builtin map[string]bool
	list    diag.List
}

func (l *loader) pack() error {
	names, err := fs.Glob(pack, "*.rego")
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n, "_test.rego") {
			continue
		}
		text, err := pack.ReadFile(n)
		if err != nil {
			return err
		}
		m, err := parse("meshc/"+n, string(text))
		if err != nil {
			return fmt.Errorf("built-in policy: %w", err)
		}
		l.modules["meshc/"+n], l.builtin["meshc/"+n] = m, true
	}
	return nil
}

// dir reads a folder. Links are not followed, so that nothing outside the folder is read.
func (l *loader) dir(dir string) error {
	before := len(l.modules)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() || filepath.Ext(path) != ".rego" || strings.HasSuffix(path, "_test.rego") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name := filepath.ToSlash(path)
		if info.Size() > maxRego {
			l.list.Add(regoFinding(CodeRego, name, 1, 1, fmt.Sprintf("the file has %d bytes, more than the %d a policy may have", info.Size(), maxRego), "Split it."))
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m, err := parse(name, string(text))
		if err != nil {
			l.list.Add(regoErrors(err, name)...)
			return nil
		}
		if p := m.Package.Path.String(); p == "data.meshc" || strings.HasPrefix(p, "data.meshc.") || p == "data."+enginePackage {
			l.list.Add(regoFinding(CodeReserved, name, m.Package.Location.Row, 1, strings.TrimPrefix(p, "data.")+" is a package of meshc itself", "Use another package name, as main."))
			return nil
		}
		l.modules[name] = m
		return nil
	})
	if err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	if len(l.modules) == before && !l.list.HasErrors() {
		l.list.Add(regoFinding(CodeNoRule, filepath.ToSlash(dir), 1, 0, "the policy folder holds no policy", "Add a .rego file with a deny or warn rule, or do not name the folder."))
	}
	return nil
}

// parse reads Rego v1, and what only Rego v0 takes, since conftest packages of some years are written in it.
func parse(name, text string) (*ast.Module, error) {
	m, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
	if err == nil {
		return m, nil
	}
	if old, oldErr := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV0}); oldErr == nil {
		return old, nil
	}
	return nil, err
}

func regoFinding(code, file string, line, col int, message, help string) diag.Diagnostic {
	return diag.Diagnostic{Code: code, Severity: diag.Error, Pos: diag.Pos{File: file, Line: line, Column: col}, Message: message, Help: help}
}

// regoErrors turns what parser and compiler say into findings at the place in the .rego file.
func regoErrors(err error, file string) diag.List {
	var l diag.List
	var many ast.Errors
	if !errors.As(err, &many) {
		var one *ast.Error
		if !errors.As(err, &one) {
			return diag.List{regoFinding(CodeRego, file, 1, 0, err.Error(), "Mend the policy.")}
		}
		many = ast.Errors{one}
	}
	for _, e := range many {
		f, row, col := file, 1, 0
		if e.Location != nil {
			row, col = e.Location.Row, e.Location.Col
			if e.Location.File != "" {
				f = e.Location.File
			}
		}
		help := "Mend the policy; 'opa check' shows the same."
		if strings.Contains(e.Message, "undefined function") {
			help = "A policy has no access to clock, network, environment or chance (http.send, time.now_ns, rand.intn, opa.runtime and such), so that a check answers the same everywhere."
		}
		l.Add(regoFinding(CodeRego, f, row, col, e.Message, help))
	}
	return l
}
