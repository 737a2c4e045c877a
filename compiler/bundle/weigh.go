package bundle

import "github.com/meshc/meshc/internal/limit"

// weight is how many parts a JSON text has: each takes memory that its few bytes do not show.
type weight struct {
	structures int // objects and lists
	values     int // their elements, and these themselves
}

// weigh counts without parsing, so a text that is no JSON has a weight, too.
func weigh(data []byte) weight {
	var w weight
	quoted := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			w.structures++
			w.values++
		case c == ',':
			w.values++
		}
	}
	return w
}

// tooDense refuses a file with far more parts than what meshc writes into as many bytes.
func tooDense(name string, data []byte) error {
	w := weigh(data)
	if most := min(limit.BundleStructures, limit.BundleFree+len(data)/limit.BundleStructureBytes); w.structures > most {
		return refuse(CodeTooLarge, name, "", "holds %d objects and lists in %d bytes; the limit is %d", w.structures, len(data), most)
	}
	if most := limit.BundleFree + len(data)/limit.BundleValueBytes; w.values > most {
		return refuse(CodeTooLarge, name, "", "holds %d values in %d bytes; the limit is %d", w.values, len(data), most)
	}
	return nil
}
