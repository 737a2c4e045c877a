package schema

import (
	"io/fs"
	"reflect"
	"runtime"
	"sync"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
)

// engine is a CUE context with the definitions in it, and what is known of values by it. One goroutine at a time may use it.
type engine struct {
	ctx  *cue.Context
	root cue.Value
	defs map[string]cue.Value

	outliner outliner
	valid    map[string]bool // outlines that CUE found valid
	seen     int             // values that CUE has seen
	kept     int             // bytes of the outlines in valid

	fields map[reflect.Type]map[string]reflect.Type // of types of Kubernetes
}

// contextLife is how many values one CUE context serves before it is replaced, because a context keeps what it saw.
const contextLife = 4000

// What an engine may have seen if it is to wait for the next check: contexts that grew are not held while nobody needs them.
const (
	idleValues = 400
	idleBytes  = 1 << 20
)

// idle are engines that wait for the next check. To build one takes ten times as long as to check a pod, so a webhook and a
// server that compiles do not build them anew each time.
var idle = make(chan *engine, runtime.GOMAXPROCS(0))

// borrow returns an engine, which belongs to the caller until release.
func borrow() *engine {
	select {
	case e := <-idle:
		return e
	default:
		return newEngine()
	}
}

// release gives an engine back. One that a panic went through is not given back.
func (e *engine) release() {
	if e.seen > idleValues || e.kept > idleBytes {
		return
	}
	select {
	case idle <- e:
	default: // enough of them wait
	}
}

func newEngine() *engine {
	e := &engine{ctx: cuecontext.New(), defs: map[string]cue.Value{}, outliner: outliner{forms: readForms()}, valid: map[string]bool{}, fields: map[reflect.Type]map[string]reflect.Type{}}
	inst := build.NewContext().NewInstance("schema", nil)
	names, _ := fs.Glob(files, "*.cue")
	for _, n := range names {
		b, err := files.ReadFile(n)
		if err == nil {
			var f *ast.File
			if f, err = parser.ParseFile(n, b); err == nil {
				err = inst.AddSyntax(f)
			}
		}
		if err != nil {
			panic("schema: " + err.Error())
		}
	}
	if e.root = e.ctx.BuildInstance(inst); e.root.Err() != nil {
		panic("schema: the embedded definitions do not compile: " + errors.Details(e.root.Err(), nil))
	}
	return e
}

func (e *engine) definition(name string) cue.Value {
	v, ok := e.defs[name]
	if !ok {
		v = e.root.LookupPath(cue.ParsePath(name))
		e.defs[name] = v
	}
	return v
}

// verdict asks CUE.
func (e *engine) verdict(def string, value any) error {
	e.seen++
	return e.definition(def).Unify(e.ctx.Encode(value)).Validate(cue.Concrete(true))
}

// judge is verdict, without asking for what has the outline of a value that was found valid.
func (e *engine) judge(def string, value any) error {
	outline, ok := e.outliner.outline(def, value)
	if ok && e.valid[outline] {
		return nil
	}
	err := e.verdict(def, value)
	if err == nil && ok {
		e.valid[outline] = true
		e.kept += len(outline)
	}
	return err
}

// The tables that are read off the files of the definitions, once. Nobody changes them.
var (
	readShapes = sync.OnceValues(parseShapes)
	readForms  = sync.OnceValue(parseForms)
)
