package schema

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshc/meshc/compiler/cel"
	"github.com/meshc/meshc/internal/diag"
)

// A value type says what a field holds beyond its form: @value(TYPE) on a field names it for the value, for each element
// of a list or each value of a mapping; @key(TYPE) names it for the keys of a mapping. A type has one rule, which holds
// wherever a field has the type, in the settings of the mesh too. The limits are those of Envoy 1.40, which would refuse
// the whole listener, cluster or virtual host.

// valueRule tells what is wrong with a value, and what to do; "" if nothing is. Values of another form than the type's
// pass: the definitions in CUE are about these.
type valueRule func(v any) (why, help string)

// valueRules are the rules by value type.
func valueRules() map[string]valueRule {
	return map[string]valueRule{
		"headerName":    textRule(headerNameText),
		"headerText":    textRule(headerText),
		"curve":         textRule(curve),
		"filled":        textRule(filled),
		"alpn":          textRule(alpnProtocol),
		"format":        textRule(func(s string) (string, string) { return namedFormat("the format", s) }),
		"headerFormat":  textRule(headerFormat),
		"path":          textRule(filePath),
		"socket":        textRule(socketPath),
		"serverName":    textRule(serverName),
		"percent":       percentage,
		"aboveZero":     aboveZero,
		"milliseconds":  durationRule(wholeMillis),
		"seconds":       durationRule(wholeSeconds),
		"expression":    textRule(expression),
		"port":          wholeRule(portNumber),
		"ringSize":      wholeRule(ringSize),
		"tableSize":     wholeRule(tableSize),
		"notNegative":   durationRule(func(d time.Duration) (string, string) { return below(d, 0, "0s") }),
		"positive":      durationRule(func(d time.Duration) (string, string) { return below(d, 1, "1ms") }),
		"aboveOneMilli": durationRule(func(d time.Duration) (string, string) { return below(d, time.Millisecond+1, "2ms") }),
	}
}

func textRule(rule func(string) (why, help string)) valueRule {
	return func(v any) (string, string) {
		if s, ok := v.(string); ok {
			return rule(s)
		}
		return "", ""
	}
}

func wholeRule(rule func(int64) (why, help string)) valueRule {
	return func(v any) (string, string) {
		if n, ok := v.(int64); ok {
			return rule(n)
		}
		return "", ""
	}
}

func durationRule(rule func(time.Duration) (why, help string)) valueRule {
	return textRule(func(s string) (string, string) {
		d, err := time.ParseDuration(s)
		if err != nil {
			return "", ""
		}
		return rule(d)
	})
}

// maxHeaderBytes is the longest name and the longest value of a header that Envoy takes in its configuration.
const maxHeaderBytes = 16384

const lineBreaks = "\r\n\x00"

func headerNameText(s string) (why, help string) {
	switch {
	case s == "":
		return "the name of a header is empty", "Write the name."
	case strings.ContainsAny(s, lineBreaks):
		return fmt.Sprintf("%q has a line break or a zero byte, which no header name can have", s), "Use letters, digits and dashes."
	case len(s) > maxHeaderBytes:
		return fmt.Sprintf("the name of the header has %d bytes; Envoy takes at most %d", len(s), maxHeaderBytes), "Shorten it."
	}
	return "", ""
}

func headerText(s string) (why, help string) {
	switch {
	case strings.ContainsAny(s, lineBreaks):
		return fmt.Sprintf("%q has a line break or a zero byte, which Envoy refuses here", s), "Write it in one line."
	case len(s) > maxHeaderBytes:
		return fmt.Sprintf("the value has %d bytes; Envoy takes at most %d", len(s), maxHeaderBytes), "Shorten it."
	}
	return "", ""
}

// headerFormat is headerText with command operators.
func headerFormat(s string) (why, help string) {
	if why, help := headerText(s); why != "" {
		return why, help
	}
	return namedFormat("the header value", s)
}

func namedFormat(what, s string) (why, help string) {
	if why, help = badFormat(s); why != "" {
		why = what + " has " + why
	}
	return why, help
}

func curve(s string) (why, help string) {
	known := [...]string{"P-256", "P-384", "P-521", "X25519", "X25519MLKEM768", "MLKEM1024", "prime256v1", "secp384r1", "secp521r1", "x25519"}
	if !slices.Contains(known[:], s) {
		return fmt.Sprintf("%q is no curve that Envoy knows", s), "Use " + strings.Join(known[:], ", ") + "."
	}
	return "", ""
}

// alpnProtocol: a name stands behind one byte of length in the handshake.
func alpnProtocol(s string) (why, help string) {
	if s == "" || len(s) > 255 {
		return fmt.Sprintf("%q has %d bytes; the name of a protocol in TLS has 1 to 255", s, len(s)), "Write the name of a protocol, as h2 or http/1.1."
	}
	return "", ""
}

func filled(s string) (why, help string) {
	if s == "" {
		return "the value is empty, which Envoy refuses here", "Write a value, or remove the field."
	}
	return "", ""
}

// filePath is about a file that the proxy opens; whether it is there, only the proxy's machine can say.
func filePath(s string) (why, help string) {
	switch {
	case strings.Contains(s, "\x00"):
		return fmt.Sprintf("%q has a zero byte, which no path can have", s), "Write the path of a file on the proxy's machine."
	case strings.HasSuffix(s, "/"):
		return fmt.Sprintf("%q is the path of a folder, where Envoy wants a file", s), "Write the path of a file on the proxy's machine."
	case len(s) > 4095 || slices.ContainsFunc(strings.Split(s, "/"), func(e string) bool { return len(e) > 255 }):
		return "the path is longer than a file system takes", "Shorten it."
	}
	return "", ""
}

// maxSocketPath is the room that the address of a Unix domain socket has on Linux, with the zero byte at its end.
const maxSocketPath = 107

// socketPath is about unix://PATH; addresses of other forms pass.
func socketPath(s string) (why, help string) {
	path, ok := strings.CutPrefix(s, "unix:")
	if !ok {
		if !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "@") {
			return "", ""
		}
		path = s
	}
	path = strings.TrimPrefix(path, "//")
	switch {
	case strings.Contains(path, "\x00"):
		return fmt.Sprintf("%q has a zero byte, which Envoy refuses in the path of a socket", s), "Write unix:///path, or unix://@name for an abstract socket."
	case len(path) > maxSocketPath:
		return fmt.Sprintf("the path of the socket has %d bytes; the system takes at most %d", len(path), maxSocketPath), "Use a shorter path."
	}
	return "", ""
}

func serverName(s string) (why, help string) {
	if len(s) > 255 {
		return fmt.Sprintf("the server name has %d bytes; Envoy takes at most 255", len(s)), "Write the DNS name of the server."
	}
	return "", ""
}

func portNumber(n int64) (why, help string) {
	if n < 1 || n > 65535 {
		return fmt.Sprintf("the port %d is not in the range 1 to 65535", n), "Use a port from 1 to 65535."
	}
	return "", ""
}

func percentage(v any) (why, help string) {
	var p float64
	switch v := v.(type) {
	case int64:
		p = float64(v)
	case float64:
		p = v
	}
	if p < 0 || p > 100 {
		return fmt.Sprintf("the percentage %v is not in the range 0 to 100", v), "Use 0 to 100."
	}
	return "", ""
}

func ringSize(n int64) (why, help string) {
	if n > 8388608 {
		return fmt.Sprintf("the ring size %d is above 8388608, the largest that Envoy takes", n), "Use at most 8388608; 1024 is the default."
	}
	return "", ""
}

func tableSize(n int64) (why, help string) {
	switch {
	case n >= 5000011:
		return fmt.Sprintf("the table size %d is not below 5000011", n), "Use a prime number below 5000011; 65537 is the default."
	case !prime(n):
		return fmt.Sprintf("the table size %d is not a prime number, which Envoy wants", n), "Use a prime number, as 65537."
	}
	return "", ""
}

func prime(n int64) bool {
	for d := int64(2); d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}

func below(d, least time.Duration, written string) (why, help string) {
	if d < least {
		return fmt.Sprintf("the duration %s is less than Envoy takes here", d), "Use at least " + written + "."
	}
	return "", ""
}

// wholeMillis is about lengths of time that have to be one: the API server and Istio's webhook take whole milliseconds.
func wholeMillis(d time.Duration) (why, help string) {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("the duration %s is less than 1ms", d), "Use at least 1ms, or remove the field."
	case d%time.Millisecond != 0:
		return fmt.Sprintf("the duration %s is finer than a millisecond", d), "Round it to milliseconds."
	}
	return "", ""
}

func wholeSeconds(d time.Duration) (why, help string) {
	if d >= time.Millisecond && d%time.Second != 0 {
		return fmt.Sprintf("the duration %s is no whole number of seconds", d), "Round it to seconds."
	}
	return wholeMillis(d)
}

func aboveZero(v any) (why, help string) {
	if n, ok := v.(int64); ok && n <= 0 {
		return fmt.Sprintf("the number %d is not above 0", n), "Use a number above 0."
	}
	if f, ok := v.(float64); ok && f <= 0 {
		return fmt.Sprintf("the number %v is not above 0", f), "Use a number above 0."
	}
	return "", ""
}

// expression is about the form of an expression in CEL; what stock Envoy cannot build of it is said where it is lowered.
func expression(s string) (why, help string) {
	if err := cel.Parse(s); err != nil {
		return fmt.Sprintf("%q is no expression in CEL: %v", s, err), "Correct the expression, as in response.code >= 400."
	}
	return "", ""
}

// values holds what a struct and all below it hold to the rules of their value types.
func (c *checker) values(t *target, sh *shape, v any, path []any, out *diag.List) {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			c.values(t, sh, e, append(slices.Clip(path), i), out)
		}
	case map[string]any:
		if sh == nil {
			return
		}
		for _, key := range sortedKeys(v) {
			f := sh.get(key)
			if f == nil || f.unsupported != "" || f.ignored != "" {
				continue
			}
			at := append(slices.Clip(path), key)
			if f == sh.rest && sh.key != "" {
				c.value(t, sh.key, key, at, out)
			}
			if f.value != "" {
				c.value(t, f.value, v[key], at, out)
			}
			c.values(t, c.shapes.of(f), v[key], at, out)
		}
	}
}

// value holds one value, or each element of a list, to the rule of a type.
func (c *checker) value(t *target, name string, v any, path []any, out *diag.List) {
	if l, ok := v.([]any); ok {
		for i, e := range l {
			c.value(t, name, e, append(slices.Clip(path), i), out)
		}
		return
	}
	if why, help := c.rules[name](v); why != "" {
		out.Add(t.finding(diag.Error, shapeCode, why, help, path))
	}
}
