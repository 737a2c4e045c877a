package source

import (
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// floatForm is what kubectl's reader takes for a number with a fraction or an exponent.
var floatForm = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// scalar reads one scalar as kubectl does: a plain on, yes or y is a boolean (YAML 1.1), a date stays a string, an
// integer is exact up to 64 bits, a number too large for a double is a string, and .inf and .nan have no place in JSON and are
// refused.
func scalar(n *yaml.Node) (any, error) {
	if n.Style&yaml.TaggedStyle != 0 {
		return taggedScalar(n)
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return n.Value, nil
	}
	return plainScalar(n.Value)
}

func taggedScalar(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp":
		return n.Value, nil
	case "!!binary":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			return nil, fmt.Errorf("the value tagged !!binary is not base64")
		}
		return string(b), nil
	case "!!int", "!!bool", "!!null", "!!float":
		v, err := plainScalar(n.Value)
		if err != nil {
			return nil, err
		}
		if got := shortTag(v); got != tag && (tag != "!!float" || got != "!!int") {
			return nil, fmt.Errorf("%q cannot be read as %s", n.Value, tag)
		}
		return v, nil
	default:
		return nil, fmt.Errorf("the YAML tag %s has no meaning in a Kubernetes object", n.Tag)
	}
}

func shortTag(v any) string {
	switch v.(type) {
	case nil:
		return "!!null"
	case bool:
		return "!!bool"
	case int64:
		return "!!int"
	case float64:
		return "!!float"
	default:
		return "!!str"
	}
}

func plainScalar(s string) (any, error) {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil, nil
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y":
		return true, nil
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N":
		return false, nil
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		return nil, fmt.Errorf("%s is a number that JSON, and so Kubernetes, cannot hold", s)
	}
	if c := s[0]; c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') {
		return s, nil
	}
	plain := strings.ReplaceAll(s, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return float64(u), nil
	}
	if floatForm.MatchString(plain) {
		f, err := strconv.ParseFloat(plain, 64)
		if err != nil || math.IsInf(f, 0) {
			return s, nil // no number for kubectl's reader either
		}
		return f, nil
	}
	return s, nil
}
