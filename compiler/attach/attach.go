// Package attach says which objects hold for which workloads, for all kinds that choose workloads: whoever asks, the linker,
// the lint or the lowering, asks here.
//
// What an object chooses by is read by its row in the table of kinds (internal/kinds): labels, and how far it reaches. An
// object reaches a workload if its namespace does, or it is in the root namespace and its kind reaches all from there, and
// if the workload has all labels of its selector. One that names targets (targetRef, targetRefs) reaches no workload: these
// are gateways of the Gateway API and waypoints.
//
// Of the objects that reach a workload some kinds all hold (policies, EnvoyFilters). Others are layered: the oldest without
// a selector in the root namespace is for the mesh, over it lies the oldest without one in the namespace, and over that what
// selects the workload. A Table answers both for the objects of one kind, and keeps them by namespace, since a mesh has
// thousands of each.
package attach

import (
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/schema"
)

// Attachment is what an object says of the workloads that it is for.
type Attachment struct {
	Object  *schema.Object
	Labels  map[string]string // that workloads must have
	Selects bool              // it has a selector
	Targets string            // the field in which it names targets, if it does: it is for no workload then
	field   string
	reach   kinds.Reach
}

// Of returns how an object chooses workloads; not ok: its kind does not.
func Of(o *schema.Object) (a Attachment, ok bool) { return With(o, o.Spec) }

// With is Of with another spec, for an object whose spec has been merged with others.
func With(o *schema.Object, spec any) (a Attachment, ok bool) {
	k := kinds.OfSpec(spec)
	if k == nil || k.Selects == nil {
		return Attachment{}, false
	}
	a = Attachment{Object: o, Targets: kinds.TargetField(spec), field: k.Selects.Field, reach: k.Selects.Reach}
	a.Labels, a.Selects = k.Selects.Labels(spec)
	return a, true
}

// Path is where the object has its selector.
func (a Attachment) Path() []any { return []any{"spec", a.field} }

// Namespace is the one whose workloads the object may reach, "" for all; root is the root namespace.
func (a Attachment) Namespace(root string) string {
	inRoot := a.Object.Namespace == root
	switch a.reach {
	case kinds.Everywhere:
		return ""
	case kinds.Root:
		if inRoot {
			return ""
		}
	case kinds.Layered, kinds.LayeredNoRoot:
		if inRoot && !a.Selects {
			return ""
		}
	case kinds.Own:
	}
	return a.Object.Namespace
}

// Idle tells whether the object is for no workload, whatever there is: it names targets, or selects from where it may not.
func (a Attachment) Idle(root string) bool {
	return a.Targets != "" || a.reach == kinds.LayeredNoRoot && a.Selects && a.Object.Namespace == root
}

// Reaches tells whether the object holds for a workload with some labels in a namespace.
func (a Attachment) Reaches(root, namespace string, labels map[string]string) bool {
	if a.Idle(root) || a.reach == kinds.Own && !a.Selects {
		return false
	}
	if ns := a.Namespace(root); ns != "" && ns != namespace {
		return false
	}
	return endpoint.Subset(a.Labels, labels)
}
