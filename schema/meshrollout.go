package schema

import (
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/kinds"
)

// meshRollout checks what relates the fields of a rollout.
func meshRollout(o *Object, m *kinds.MeshRollout) (out diag.List) {
	for _, p := range m.Spec.Check() {
		out.Add(o.Finding(diag.Error, shapeCode, p.Message, p.Help, append([]any{"spec"}, p.Path...)...))
	}
	return out
}
