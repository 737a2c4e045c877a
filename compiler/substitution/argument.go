package substitution

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/cel"
)

// argument tells what is wrong with what stands in the brackets of an operator; "" if nothing is. Operators that are not
// listed take anything.
func argument(name, arg string) string {
	switch name {
	case "REQ", "REQUEST_HEADER", "RESP", "RESPONSE_HEADER", "TRAILER", "RESPONSE_TRAILER", "STREAM_INFO_REQ", "REQ_WITHOUT_QUERY":
		return headerNames(arg)
	case "START_TIME", "START_TIME_LOCAL", "EMIT_TIME", "EMIT_TIME_LOCAL", "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END",
		"UPSTREAM_PEER_CERT_V_START", "UPSTREAM_PEER_CERT_V_END":
		if strings.Contains(arg, "%n") {
			return "%n would break the line"
		}
	case "GRPC_STATUS":
		return oneOf(arg, "CAMEL_STRING", "SNAKE_STRING", "NUMBER")
	case "PATH":
		return options(arg, []string{"WQ", "NQ"}, []string{"ORIG", "PATH", "ORIG_OR_PATH"})
	case "QUERY_PARAMS":
		return oneOf(arg, "ORIG", "DECODED")
	case "REQUESTED_SERVER_NAME":
		return options(arg, []string{"SNI_ONLY", "SNI_FIRST", "HOST_FIRST"}, []string{"ORIG_OR_HOST", "HOST", "ORIG"})
	case "COMMON_DURATION":
		parts := strings.Split(arg, ":")
		if len(parts) != 3 {
			return "it needs START:END:UNIT"
		}
		return oneOf(parts[2], "ms", "us", "ns")
	case "FILTER_STATE", "UPSTREAM_FILTER_STATE":
		return filterState(arg)
	case "METADATA":
		kind, _, _ := strings.Cut(arg, ":")
		return oneOf(kind, "DYNAMIC", "CLUSTER", "ROUTE", "UPSTREAM_HOST", "LISTENER", "VIRTUAL_HOST", "LISTENER_FILTER_CHAIN")
	case "COALESCE":
		return coalesce(arg)
	case "CEL":
		if err := cel.Check(arg); err != nil {
			return err.Error()
		}
	}
	return ""
}

func oneOf(s string, words ...string) string {
	if slices.Contains(words, s) {
		return ""
	}
	return fmt.Sprintf("%q is none of %s", s, strings.Join(words, ", "))
}

// options are words between colons, each of a list of its own; an empty one is the default.
func options(arg string, lists ...[]string) string {
	words := strings.Split(arg, ":")
	for i, list := range lists {
		if i < len(words) && words[i] != "" {
			if why := oneOf(words[i], list...); why != "" {
				return why
			}
		}
	}
	return ""
}

// headerNames are a name and another to use where there is no header of the first.
func headerNames(arg string) string {
	names := strings.Split(arg, "?")
	if len(names) > 2 {
		return "it takes one other header behind a question mark"
	}
	for _, n := range names {
		n = strings.TrimPrefix(n, ":") // of a pseudo header
		if i := strings.IndexFunc(n, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>@[\]{}`, r) }); i >= 0 {
			return fmt.Sprintf("%q is no name of a header", n)
		}
	}
	return ""
}

// filterState reads KEY, KEY:FORM or KEY:FIELD:NAME.
func filterState(arg string) string {
	key, form, more := strings.Cut(arg, ":")
	form, field, _ := strings.Cut(form, ":")
	switch {
	case key == "":
		return "it needs a key"
	case !more || form == "":
		return ""
	case (form == "FIELD") != (field != ""):
		return "FIELD, and only FIELD, is followed by the name of a field"
	}
	return oneOf(form, "PLAIN", "TYPED", "FIELD")
}

// coalesce reads {"operators": […]}, each a name or {"command": NAME, "param": ARGUMENT}.
func coalesce(arg string) string {
	var config struct {
		Operators []json.RawMessage `json:"operators"`
	}
	if err := json.Unmarshal([]byte(arg), &config); err != nil || len(config.Operators) == 0 {
		return `it needs {"operators": [NAME, …]} as JSON`
	}
	for _, raw := range config.Operators {
		var o struct {
			Command string `json:"command"`
			Param   string `json:"param"`
			Length  *int   `json:"max_length"`
		}
		if json.Unmarshal(raw, &o.Command) != nil && json.Unmarshal(raw, &o) != nil {
			return "an operator in it is neither a name nor a command"
		}
		known, ok := operators()[o.Command]
		switch {
		case !ok:
			return fmt.Sprintf("%q in it is no operator", o.Command)
		case known.argument == required && o.Param == "":
			return o.Command + " in it needs a param"
		case known.argument == never && o.Param != "":
			return o.Command + " in it takes no param"
		case o.Length != nil && (known.length == never || *o.Length <= 0):
			return o.Command + " in it takes no such max_length"
		}
		if o.Param != "" {
			if why := argument(o.Command, o.Param); why != "" {
				return why
			}
		}
	}
	return ""
}
