package replay

import (
	"fmt"

	"github.com/meshc/meshc/compiler/trace"
)

// routeOf names the first route of the input that a request meets, else its host.
func routeOf(r *trace.Result) string {
	for _, s := range r.Path.AllSteps() {
		if s.Kind == "route" && len(s.Origins) > 0 {
			o := s.Origins[0]
			return fmt.Sprintf("%s: %s [%s:%d]", s.Name, s.Text, o.File, o.Line)
		}
	}
	return ""
}
