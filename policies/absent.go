package policies

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/internal/suggest"
)

// absent reports what the policies of the folders ask for and can never get: such a rule finds nothing, whatever is wrong.
// Tests are left out, since they bring what they ask for.
func (l *loader) absent() {
	for _, name := range slices.Sorted(maps.Keys(l.modules)) {
		if l.builtin[name] || strings.HasSuffix(name, "_test.rego") {
			continue
		}
		a := &absence{loader: l, file: name, said: map[string]bool{}}
		m := l.modules[name]
		ast.WalkRefs(m, func(r ast.Ref) bool {
			a.combined = a.combined || r.HasPrefix(ast.InputRootRef) && len(r) > 1 && !isText(r[1])
			return false
		})
		ast.WalkExprs(m, func(x *ast.Expr) bool {
			a.combined = a.combined || overInput(x)
			return false
		})
		ast.WalkRefs(m, func(r ast.Ref) bool { a.ref(r); return false })
		ast.WalkExprs(m, func(x *ast.Expr) bool { a.kinds(x); return false })
		a.slips(m)
		a.severities(m)
	}
}

// absence looks through one policy.
type absence struct {
	*loader
	file     string
	combined bool // it goes through input as through a list
	said     map[string]bool
}

func (a *absence) say(at *ast.Location, what, message, help string) {
	if a.said[what] {
		return
	}
	a.said[what] = true
	line, col := 1, 1
	if at != nil {
		line, col = at.Row, at.Col
	}
	a.list.Add(regoFinding(CodeNothing, a.file, line, col, message, help))
}

// overInput tells whether an expression goes through the elements of input.
func overInput(x *ast.Expr) bool {
	isInput := func(t *ast.Term) bool { r, ok := t.Value.(ast.Ref); return ok && r.Equal(ast.InputRootRef) }
	switch t := x.Terms.(type) {
	case *ast.SomeDecl:
		for _, s := range t.Symbols {
			if c, ok := s.Value.(ast.Call); ok && len(c) > 1 && isInput(c[len(c)-1]) {
				return true
			}
		}
	case *ast.Every:
		return isInput(t.Domain)
	}
	return false
}

func isText(t *ast.Term) bool { _, ok := t.Value.(ast.String); return ok }

const ownInput = "Ask for input as it is: here it is one object, as in conftest without --combine (input.kind, input.spec)."

// ref looks at what a policy refers to.
func (a *absence) ref(r ast.Ref) {
	at := r[0].Location
	switch {
	case len(r) < 2:
	case r.HasPrefix(ast.DefaultRootRef):
		a.data(r, at)
	case a.combined && slices.ContainsFunc(r[1:min(len(r), 3)], func(t *ast.Term) bool { return t.Value.Compare(ast.String("contents")) == 0 }):
		a.say(at, "contents", "conftest hands all files to a policy as a list of path and contents with --combine; meshc never does, so this can find nothing",
			ownInput+" What is about several objects asks data.meshc.objects.")
	case r.HasPrefix(ast.InputRootRef) && len(r) > 2 && !isText(r[1]) && isText(r[2]) && isIdentity(string(r[2].Value.(ast.String))):
		a.say(at, "list", "input is one object here, and no part of one has its "+string(r[2].Value.(ast.String))+", so that this can find nothing", ownInput)
	case r.HasPrefix(ast.InputRootRef) && isText(r[1]):
		key := string(r[1].Value.(ast.String))
		switch {
		case key == "review" || key == "parameters" && a.asksReview():
			a.say(at, key, "input."+key+" is what Gatekeeper hands to a policy; meshc never does, so this can find nothing", ownInput)
		case key == "request":
			a.say(at, key, "input.request is what an admission webhook hands to a policy; meshc never does, so this can find nothing", ownInput)
		case !source.IsObjectKey(key):
			if meant := source.MeantObjectKey(key); meant != "" {
				a.say(at, key, "no object has the key "+key+", so that input."+key+" can find nothing", "Did you mean input."+meant+"?")
			}
		}
	}
}

// isIdentity tells the keys that objects have and their parts do not.
func isIdentity(key string) bool { return key == "apiVersion" || key == "kind" || key == "metadata" }

// slips warns of rules whose name is nearly one that reports: nobody asks them, unless another rule does.
func (a *absence) slips(m *ast.Module) {
	for _, r := range m.Rules {
		name := ruleName(r)
		word, _, _ := strings.Cut(name, "_")
		meant := suggest.Word(word, []string{"deny", "violation", "warn"})
		if reporting.MatchString(name) || meant == "" || len(r.Head.Args) > 0 || a.calls(m, name) {
			continue
		}
		d := regoFinding(CodeNothing, a.file, r.Location.Row, r.Location.Col, "nothing asks for the rule "+name+", so that it finds nothing: the rules that report are deny, violation and warn, also with an ending as in deny_latest",
			"Did you mean "+meant+strings.TrimPrefix(name, word)+"?")
		d.Severity = diag.Warning
		if !a.said["rule "+name] {
			a.list.Add(d)
		}
		a.said["rule "+name] = true
	}
}

// severities warns of severities in METADATA that there are not: the one of the rule's name counts.
func (a *absence) severities(m *ast.Module) {
	for _, n := range m.Annotations {
		s, ok := n.Custom["severity"]
		if !ok || severity(fmt.Sprint(s), diag.Info) == severity(fmt.Sprint(s), diag.Error) {
			continue
		}
		d := regoFinding(CodeNothing, a.file, n.Location.Row, 1, fmt.Sprintf("METADATA names the severity %v, which is none", s), "Write error, warning or info.")
		d.Severity = diag.Warning
		a.list.Add(d)
	}
}

// calls tells whether a rule is used: by its name in its own module, or by its path in any.
func (a *absence) calls(m *ast.Module, name string) bool {
	path, found := m.Package.Path.Append(ast.StringTerm(name)), false
	for _, other := range a.modules {
		ast.WalkRefs(other, func(r ast.Ref) bool {
			found = found || r.HasPrefix(path)
			return found
		})
	}
	for _, r := range m.Rules {
		ast.WalkVars(r.Body, func(v ast.Var) bool {
			found = found || string(v) == name
			return found
		})
		if r.Head.Value != nil {
			ast.WalkVars(r.Head.Value, func(v ast.Var) bool {
				found = found || string(v) == name
				return found
			})
		}
	}
	return found
}

// asksReview tells whether a policy is one of Gatekeeper's.
func (a *absence) asksReview() bool {
	found := false
	ast.WalkRefs(a.modules[a.file], func(r ast.Ref) bool {
		found = found || r.HasPrefix(ast.InputRootRef) && len(r) > 1 && r[1].Value.Compare(ast.String("review")) == 0
		return false
	})
	return found
}

// data looks at a reference to what packages and files supply.
func (a *absence) data(r ast.Ref, at *ast.Location) {
	words := dataWords(r)
	if len(words) == 0 {
		return
	}
	if words[0] == "meshc" {
		if len(words) > 2 && words[1] == "objects" {
			a.kind(words[2], at)
		} else if known := []string{"objects", "hosts", "external", "pathNormalization"}; len(words) > 1 && !slices.Contains(known, words[1]) {
			a.say(at, strings.Join(words, "."), "there is no data.meshc."+words[1]+", so that this can find nothing", cmp.Or(meant("data.meshc.", suggest.Word(words[1], known)), "There are data.meshc."+strings.Join(known, ", ")+"."))
		}
		return
	}
	if a.supplied(words) {
		return
	}
	path := strings.Join(words, ".")
	a.say(at, "data."+path, fmt.Sprintf("nothing supplies data.%s, so that this can find nothing", path),
		"Put the values into a file below a folder data beside the policies, as data/allowed.yaml with the key that is asked for, or into data.yaml; or name the package or the rule that is meant.")
}

func meant(prefix, word string) string {
	if word == "" {
		return ""
	}
	return "Did you mean " + prefix + word + "?"
}

// supplied tells whether a package, a rule or a file of data stands where a path of data leads.
func (a *absence) supplied(words []string) bool {
	var v any = a.values
	for i := 0; ; i++ {
		m, ok := v.(map[string]any)
		if i == len(words) || !ok && i > 0 && v != nil {
			return true
		}
		if v, ok = m[words[i]]; !ok {
			break
		}
	}
	for _, m := range a.modules {
		var pkg []string
		for _, t := range m.Package.Path[1:] {
			pkg = append(pkg, string(t.Value.(ast.String)))
		}
		n := min(len(pkg), len(words))
		if !slices.Equal(pkg[:n], words[:n]) {
			continue
		}
		if len(words) <= len(pkg) || slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return ruleName(r) == words[len(pkg)] }) {
			return true
		}
	}
	return false
}

// kinds looks at the kinds that an expression compares input.kind with.
func (a *absence) kinds(x *ast.Expr) {
	if x.Negated || !x.IsCall() {
		return
	}
	for kind := range kindsOf(ast.Body{x}) {
		a.kind(kind, x.Location)
	}
}

// kind reports the name of a kind that is nearly that of one which is read, and none itself. Others may be for other tools.
func (a *absence) kind(kind string, at *ast.Location) {
	if m := source.MeantKind(kind); m != "" {
		a.say(at, "kind "+kind, "no object has the kind "+kind+", so that this can find nothing", "Did you mean "+m+"?")
	}
}
