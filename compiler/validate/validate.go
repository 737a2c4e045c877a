// Package validate says what Envoy would refuse in a resource, before any Envoy sees it. It is the net below the rules of the
// schema: those know a field of the input and its line, this knows every message that Envoy reads, whoever made it.
//
// A Checker visits each message of a resource by reflection, those packed in Any and TypedStruct included, along the fields
// from which something with a rule can be reached. Three kinds of rules are held: the constraints of Envoy's API, which its
// messages carry themselves; that a packed message is an extension which stock Envoy has for the place it stands at; and
// rules by type of message for what Envoy finds only when it builds a filter, a cluster or a route, each with its source.
// It also lists what a resource refers to by name, for those who know what a proxy gets.
// Packed messages repeat from listener to listener, so what a Checker found in one is remembered by digest.
package validate

import (
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// Problem is one thing that Envoy would refuse in a message.
type Problem struct {
	Path string // of the field in the message, as routes[3].route.timeout; packed messages are passed through
	Says string // what is wrong with it, without a full stop
	Help string // what to do; "" where the field and what is wrong with it say all
}

// String renders PATH: what is wrong.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Says
	}
	return p.Path + ": " + p.Says
}

// Result is what holds for one message.
type Result struct {
	Problems []Problem
	// ProgramSize is the RE2 program size of the largest regular expression, as Envoy counts it; 0: there is none.
	ProgramSize int
	// References are what the message refers to, sorted, each once.
	References []Reference
	// Extensions are the messages in it that configure extensions of Envoy, by full name, sorted, each once.
	Extensions []string
}

// Checker knows the rules, and what came of the packed messages that it has seen. It is safe for concurrent use; messages are
// checked by its passes.
type Checker struct {
	rules      map[protoreflect.FullName]rule
	categories map[protoreflect.FullName][]string
	extensions map[string]map[string]bool                              // by category: full names of messages
	named      map[protoreflect.FullName]ReferenceKind                 // by field
	asked      map[protoreflect.FullName]func(proto.Message) Reference // by message
	plans      planner

	packed sync.Map // digest to *packedMessage
	sizes  sync.Map // regular expression to int, or to an error
}

// New prepares a checker.
func New() *Checker {
	c := &Checker{rules: rules(), categories: categories(), extensions: extensions(), named: named(), asked: asked()}
	c.plans.checker = c
	return c
}

// Pass checks messages one after another. Several passes of a checker may run side by side.
type Pass struct {
	checker *Checker
	shared  map[*anypb.Any]*packedMessage
}

// Pass begins a pass.
func (c *Checker) Pass() *Pass { return &Pass{checker: c, shared: map[*anypb.Any]*packedMessage{}} }

// Check checks a message: a resource, or what an EnvoyFilter adds to one. It must not change while the pass is in use.
func (p *Pass) Check(m proto.Message) Result {
	v := &visit{Pass: p}
	v.constraints(m)
	v.message(m.ProtoReflect(), p.checker.plans.of(m.ProtoReflect().Descriptor()))
	v.References = distinct(v.References)
	slices.Sort(v.Extensions)
	v.Extensions = slices.Compact(v.Extensions)
	return v.Result
}
