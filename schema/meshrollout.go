package schema

import (
	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/internal/diag"
)

// MeshRollout says how servers take the bundle of its source into service.
type MeshRollout struct {
	Spec rollout.Plan `json:"spec"`
}

// meshRollout checks what relates the fields of a rollout.
func meshRollout(o *Object, m *MeshRollout) (out diag.List) {
	for _, p := range m.Spec.Check() {
		out.Add(o.Finding(diag.Error, shapeCode, p.Message, p.Help, append([]any{"spec"}, p.Path...)...))
	}
	return out
}
