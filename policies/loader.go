package policies

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// loader collects parsed modules by file name.
type loader struct {
	modules map[string]*ast.Module
	builtin map[string]bool
	texts   map[string]string // of the folders
	bytes   int
	entries int
	tests   bool // those of the folders are read, too
	values  map[string]any
	keys    []dataKey
	asked   [][]string // references below data
	unrun   []unrunTest
	list    diag.List
}

func newLoader() *loader {
	return &loader{modules: map[string]*ast.Module{}, builtin: map[string]bool{}, texts: map[string]string{}, values: map[string]any{}}
}

// packName is how modules of the pack are called. No file of a folder has such a name.
func packName(file string) string { return "meshc:" + file }

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
		m, err := parse(packName(n), string(text))
		if err != nil {
			return fmt.Errorf("built-in policy: %w", err)
		}
		l.modules[packName(n)], l.builtin[packName(n)] = m, true
	}
	return nil
}

// folders reads those of the user.
func (l *loader) folders(all []Folder) error {
	for _, f := range all {
		if err := l.folder(f); err != nil {
			return err
		}
	}
	l.absent()
	l.unread()
	return nil
}

// folder reads a folder of policies.
func (l *loader) folder(f Folder) error {
	before := len(l.modules)
	err := fs.WalkDir(f.Files, ".", func(p string, d fs.DirEntry, err error) error {
		if l.entries++; l.entries > limit.PolicyEntries {
			l.tooMuch(path.Clean(f.Name), fmt.Sprintf("more than %d files and folders", limit.PolicyEntries))
			return fs.SkipAll
		}
		name := path.Join(f.Name, p)
		switch {
		case err != nil || d.IsDir():
			return err
		case strings.HasSuffix(p, "_test.rego") && !l.tests:
			l.unrun = append(l.unrun, unrunTest{f.Files, p})
			return nil
		case path.Ext(p) == ".rego":
			return l.file(f.Files, p, name)
		case isData(p):
			return l.data(f.Files, p, name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	if len(l.modules) == before && !l.list.HasErrors() {
		l.list.Add(regoFinding(CodeNoRule, path.Clean(f.Name), 1, 0, "the policy folder holds no policy", "Add a .rego file with a deny or warn rule, or do not name the folder."))
	}
	return nil
}

func (l *loader) tooMuch(name, what string) {
	l.list.Add(regoFinding(CodeBudget, name, 1, 0, "the policies are "+what, "Name the folder that holds the policies, or split what is large."))
}

// text reads one file of a folder, within the limits. What is wrong with it is a finding.
func (l *loader) text(files fs.FS, p, name, what string) (text []byte, ok bool, err error) {
	text, err = regular.ReadFS(files, p, limit.PolicyFileBytes)
	switch {
	case errors.Is(err, regular.ErrNotRegular):
		l.list.Add(regoFinding(CodeRego, name, 1, 0, "the "+what+" is not a regular file", "Remove it from the folder, or give it another name."))
		return nil, false, nil
	case errors.Is(err, regular.ErrTooLarge):
		l.tooMuch(name, fmt.Sprintf("more than %d bytes in this file", limit.PolicyFileBytes))
		return nil, false, nil
	case err != nil:
		l.list.Add(regoFinding(CodeRego, name, 1, 0, "the "+what+" is a symbolic link that leads out of the tree of its folder or to nothing, or cannot be read", "Replace the link by the file, or check the permissions."))
		return nil, false, nil
	}
	if l.bytes += len(text); l.bytes > limit.PolicyBytes || len(l.texts) >= limit.PolicyFiles {
		l.tooMuch(name, fmt.Sprintf("more than %d files or %d bytes", limit.PolicyFiles, limit.PolicyBytes))
		return nil, false, fs.SkipAll
	}
	l.texts[name] = string(text)
	return text, true, nil
}

// file reads and parses one policy of a folder.
func (l *loader) file(files fs.FS, p, name string) error {
	text, ok, err := l.text(files, p, name, "policy")
	if !ok {
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
	l.ask(m)
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

// regoFinding is a finding in a policy. What OPA says of a file as a whole, as that it is empty, has no line, and is told at the first.
func regoFinding(code, file string, line, col int, message, help string) diag.Diagnostic {
	return diag.Diagnostic{Code: code, Severity: diag.Error, Pos: diag.Pos{File: file, Line: max(line, 1), Column: col}, Message: message, Help: help}
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
		code, help := CodeRego, "Mend the policy; 'opa check' shows the same."
		switch {
		case e.Code == expansionErr:
			code, help = CodeBudget, "Do not nest values that name one variable, or one rule, several times in each other."
		case strings.Contains(e.Message, "undefined function"):
			help = "A policy has no access to clock, network, environment or chance (http.send, time.now_ns, rand.intn, opa.runtime and such), so that a check answers the same everywhere; nor to what no budget bounds (net.cidr_expand, graph.reachable_paths, io.jwt.verify_… and such)."
		}
		l.Add(regoFinding(code, f, row, col, e.Message, help))
	}
	return l
}
