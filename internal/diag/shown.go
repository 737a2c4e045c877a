package diag

import (
	"slices"

	"github.com/meshc/meshc/internal/secret"
	"github.com/meshc/meshc/internal/show"
)

// shown returns the findings as they may be shown, whatever the format: without secrets, also without parts of those in
// the files that they are about, and without characters that steer a terminal or a CI system.
func shown(l List, text *texts) List {
	var pieces secret.Pieces
	for _, d := range l {
		text.learn(&pieces, d.Pos.File)
		for _, r := range d.Related {
			text.learn(&pieces, r.Pos.File)
		}
	}
	clean := func(values ...*string) {
		for _, v := range values {
			*v = show.Visible(pieces.Redact(*v))
		}
	}
	out := slices.Clone(l)
	for i := range out {
		d := &out[i]
		clean(&d.Code, &d.Pos.File, &d.Object.Kind, &d.Object.Namespace, &d.Object.Name, &d.Field, &d.Message, &d.Help)
		d.Related = slices.Clone(d.Related)
		for j := range d.Related {
			r := &d.Related[j]
			clean(&r.Pos.File, &r.Object.Kind, &r.Object.Namespace, &r.Object.Name, &r.Message)
		}
	}
	return out
}
