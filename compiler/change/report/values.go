package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// longValue is how long a value may be to be shown as a whole.
const longValue = 160

// Apart is how people read two values of one setting that are not the same. Of long messages, written as JSON, only the fields are left that
// one of both lacks or has otherwise; "" stands for no value. It is for display alone.
func Apart(before, after string) (a, b string) {
	x, y := leaves(before), leaves(after)
	if len(before) <= longValue && len(after) <= longValue || x == nil && y == nil {
		return cut(before), cut(after)
	}
	return cut(only(x, y, before)), cut(only(y, x, after))
}

// only are the fields of a value that another has otherwise; all of them where there is no other.
func only(x, y map[string]string, whole string) string {
	if x == nil {
		return whole
	}
	var out []string
	for _, path := range slices.Sorted(maps.Keys(x)) {
		if v, ok := y[path]; !ok || v != x[path] {
			out = append(out, path+" "+x[path])
		}
	}
	if len(out) == 0 {
		return "without more"
	}
	return strings.Join(out, ", ")
}

// leaves are the fields of a message by their paths, without types of packed messages; nil: the text is no message.
func leaves(text string) map[string]string {
	var v map[string]any
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	out := map[string]string{}
	collectLeaves(out, "", v)
	return out
}

func collectLeaves(out map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if k != "@type" {
				collectLeaves(out, strings.TrimPrefix(path+"."+k, "."), x)
			}
		}
	case []any:
		for i, x := range v {
			collectLeaves(out, fmt.Sprintf("%s[%d]", path, i), x)
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}

func cut(text string) string {
	if r := []rune(text); len(r) > longValue {
		return string(r[:longValue]) + "…"
	}
	return text
}
