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
	"io/fs"
	"strconv"
	"strings"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Codes of what can be wrong with policies themselves.
const (
	CodeRego      = "MESHC1700"
	CodeNoRule    = "MESHC1701"
	CodeNeverMet  = "MESHC1702"
	CodeBudget    = "MESHC1703"
	CodeFailed    = "MESHC1704"
	CodeBadResult = "MESHC1705"
	CodeReserved  = "MESHC1706"
	CodeBadPlace  = "MESHC1707"
	CodeNothing   = "MESHC1708"
)

//go:embed *.rego
var pack embed.FS

// Folder is a folder of policies. Findings name its files below Name.
type Folder struct {
	Name  string
	Files fs.FS
}

// Options says what to evaluate beside the built-in pack.
type Options struct {
	Folders []Folder // of Rego, searched through; *_test.rego is left out
	Workers int      // goroutines; 0 means one
	Budget  Budget   // of steps; zero: DefaultBudget

	// Holds tells whether a path is that of a file inside the sources: only there may results point. Without it those of the
	// objects are.
	Holds func(file string) bool
}

// Report counts what was judged, so that a policy that never ran cannot look like one that passed.
type Report struct {
	Packages int
	Rules    int
	Objects  int
	Findings int
	Steps    int64             // of the budget
	Texts    map[string]string // the policies of the folders, by the name that findings have for the file

	// Codes are those of the rules in the folders, by id. It is nil where the rules could not be read.
	Codes map[string]diag.Code
}

// Knows tells whether a rule in the folders has a code, or may give it to a result.
func (r Report) Knows(code string) bool {
	if _, ok := r.Codes[code]; ok {
		return true
	}
	for _, text := range r.Texts {
		if strings.Contains(text, strconv.Quote(code)) {
			return true
		}
	}
	return false
}

// Eval judges the objects. The error is a fault of the machine; what is wrong with objects or policies are findings.
func Eval(ctx context.Context, objs []*schema.Object, o Options) (diag.List, Report, error) {
	if o.Budget == (Budget{}) {
		o.Budget = DefaultBudget()
	}
	l := newLoader()
	if err := l.pack(); err != nil {
		return nil, Report{}, err
	}
	if err := l.folders(o.Folders); err != nil {
		return nil, Report{}, err
	}
	report := Report{Texts: l.texts}
	if l.list.HasErrors() {
		return l.list, report, nil
	}
	e, found, err := newEngine(l, objs)
	if err != nil || found.HasErrors() {
		found.Add(l.list...)
		return found, report, err
	}
	report.Codes = e.codes()
	e.holds = o.Holds
	if e.holds == nil {
		e.holds = filesOf(objs)
	}
	out, steps, err := e.eval(ctx, objs, o)
	if err != nil {
		return nil, Report{}, err
	}
	out.Add(l.list...)
	out.Add(found...)
	out.Sort()
	report.Packages, report.Rules, report.Objects, report.Findings, report.Steps = len(e.packages), len(e.rules), len(objs), len(out), steps
	return out, report, nil
}

func filesOf(objs []*schema.Object) func(string) bool {
	files := map[string]bool{}
	for _, o := range objs {
		files[o.Doc.File] = true
	}
	return func(file string) bool { return files[file] }
}
