package validate

import (
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// plan says where to go in a message of one type.
type plan struct {
	descriptor protoreflect.MessageDescriptor
	rule       rule // nil: none
	fields     []plannedField

	names []plannedName
	asks  func(proto.Message) Reference // nil: it makes Envoy ask for nothing
}

// plannedName is a field that holds the name of something.
type plannedName struct {
	field protoreflect.FieldDescriptor
	kind  ReferenceKind
}

// plannedField is a field from which something that is regarded can be reached.
type plannedField struct {
	field      protoreflect.FieldDescriptor
	plan       *plan    // of the message, or of the values of the map
	categories []string // of extensions that may stand there; nil: those of the field above
}

// planner makes a plan for each type once.
type planner struct {
	checker *Checker
	mu      sync.Mutex
	plans   map[protoreflect.FullName]*plan
	ready   sync.Map // full name to *plan
}

// of returns the plan of a type; nil: nothing in it has a rule or refers to anything.
func (p *planner) of(d protoreflect.MessageDescriptor) *plan {
	if x, ok := p.ready.Load(d.FullName()); ok {
		return x.(*plan)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plans == nil {
		p.plans = map[protoreflect.FullName]*plan{}
	}
	reached := p.reach(d)
	wanted := p.wanted(reached)
	for name := range reached {
		if _, ok := p.plans[name]; !ok && wanted[name] {
			p.plans[name] = &plan{}
		}
	}
	for name, d := range reached {
		x := p.plans[name]
		if x != nil && x.descriptor == nil {
			p.fill(x, d, wanted)
		}
	}
	// Others take a plan without the lock, and follow it to those of the messages below: all are filled before one is ready.
	for name := range reached {
		p.ready.Store(name, p.plans[name])
	}
	return p.plans[d.FullName()]
}

// reach returns the types of messages that a message can hold, itself included. What is packed is not seen.
func (p *planner) reach(d protoreflect.MessageDescriptor) map[protoreflect.FullName]protoreflect.MessageDescriptor {
	reached := map[protoreflect.FullName]protoreflect.MessageDescriptor{d.FullName(): d}
	for open := []protoreflect.MessageDescriptor{d}; len(open) > 0; {
		d, open = open[0], open[1:]
		for i := range d.Fields().Len() {
			if m := held(d.Fields().Get(i)); m != nil && reached[m.FullName()] == nil {
				reached[m.FullName()] = m
				open = append(open, m)
			}
		}
	}
	return reached
}

// held is the type of the messages that a field holds, in a list or a map as well. Metadata is for filters that read it when
// a request comes: Envoy looks at none of it before.
func held(f protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if f.FullName() == "envoy.config.core.v3.Metadata.typed_filter_metadata" {
		return nil
	}
	if f.IsMap() {
		return f.MapValue().Message()
	}
	return f.Message()
}

// regarded tells whether a type itself has a rule or refers to something.
func (p *planner) regarded(d protoreflect.MessageDescriptor) bool {
	c := p.checker
	if c.rules[d.FullName()] != nil || c.asked[d.FullName()] != nil {
		return true
	}
	for i := range d.Fields().Len() {
		if c.named[d.Fields().Get(i).FullName()] != "" {
			return true
		}
	}
	return false
}

// wanted are the types that are regarded, and those that hold one of them.
func (p *planner) wanted(reached map[protoreflect.FullName]protoreflect.MessageDescriptor) map[protoreflect.FullName]bool {
	wanted := map[protoreflect.FullName]bool{}
	for name, d := range reached {
		wanted[name] = p.regarded(d)
	}
	for changed := true; changed; {
		changed = false
		for name, d := range reached {
			for i := 0; i < d.Fields().Len() && !wanted[name]; i++ {
				if m := held(d.Fields().Get(i)); m != nil && wanted[m.FullName()] {
					wanted[name], changed = true, true
				}
			}
		}
	}
	return wanted
}

func (p *planner) fill(x *plan, d protoreflect.MessageDescriptor, wanted map[protoreflect.FullName]bool) {
	x.descriptor, x.rule, x.asks = d, p.checker.rules[d.FullName()], p.checker.asked[d.FullName()]
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if kind := p.checker.named[f.FullName()]; kind != "" {
			x.names = append(x.names, plannedName{f, kind})
		}
		if m := held(f); m != nil && wanted[m.FullName()] {
			x.fields = append(x.fields, plannedField{field: f, plan: p.plans[m.FullName()], categories: p.checker.categories[f.FullName()]})
		}
	}
}
