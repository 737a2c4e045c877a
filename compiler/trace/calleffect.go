package trace

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// effectPattern reads a line about what is done to a request.
var effectPattern = regexp.MustCompile(`^(with|without) (timeout|retries|per-try-timeout|path|host|request header|response header|delay|mirror|mutual TLS|TLS|plain text|hash|location)(?: (.+))?$`)

// needValue are the effects that say nothing without a value behind "with".
var needValue = []string{"path", "host", "location"}

func checkEffect(line string) error {
	m := effectPattern.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("%q is no effect: write with or without, then timeout 5s, retries 2, per-try-timeout 1s, path /x, host x, location URL, request header x: y, response header x: y, delay 1s, mirror CLUSTER, hash header x, mutual TLS, TLS or plain text", line)
	}
	if m[1] == "with" && m[3] == "" && slices.Contains(needValue, m[2]) {
		return fmt.Errorf("%q: %s needs a value", line, m[2])
	}
	return nil
}

// checkEffect holds a result against a line about effects, and says what is there instead, "" if it fits.
func (r *Result) checkEffect(line string) string {
	m := effectPattern.FindStringSubmatch(line)
	kind, value := m[2], m[3]
	found := r.effects(kind)
	fits := slices.ContainsFunc(found, func(f string) bool { return effectFits(kind, f, value) })
	if kind == "path" || kind == "host" || kind == "location" { // of each end
		fits = len(found) > 0 && !slices.ContainsFunc(found, func(f string) bool { return f != value })
	}
	if fits == (m[1] == "with") {
		return ""
	}
	is := "there is none"
	if len(found) > 0 {
		is = "it is " + strings.Join(found, ", ")
	}
	return fmt.Sprintf("it should be %s; %s", line, is)
}

// effectFits compares the text of an effect with the value that is wanted; "" takes any.
func effectFits(kind, found, value string) bool {
	if value == "" || found == value {
		return true
	}
	switch kind {
	case "retries": // 2 on connect-failure
		return strings.HasPrefix(found, value+" on ")
	case "request header", "response header": // x: y, or x alone
		return strings.HasPrefix(found, value+": ") || strings.TrimPrefix(found, "remove ") == value
	case "mirror": // a cluster, or the host in it
		cluster, _, _ := strings.Cut(found, " ")
		return cluster == value || strings.HasSuffix(cluster, "|"+value) || strings.HasPrefix(cluster[strings.LastIndexByte(cluster, '|')+1:], value+".")
	case "delay": // 1s, with whatever share
		return strings.HasPrefix(found, value+" ")
	}
	return false
}

// effects are the texts of all effects of a kind.
func (r *Result) effects(kind string) (out []string) {
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, l := range r.Path.Leaves() {
		switch {
		case kind == "path" && l.Outcome.Path != "":
			add(l.Outcome.Path)
		case kind == "host" && l.Outcome.Host != "":
			add(l.Outcome.Host)
		case kind == "location" && l.Outcome.To != "":
			add(l.Outcome.To)
		}
	}
	for _, s := range r.Path.AllSteps() {
		for _, e := range s.Effects {
			if text, ok := e.of(kind); ok {
				add(text)
			}
		}
	}
	return out
}

// of is the text of an effect if it is of a kind that files of calls name.
func (e Effect) of(kind string) (string, bool) {
	what, verb, _ := strings.Cut(e.Name, " header ")
	switch {
	case kind == e.Kind && (kind == EffectTimeout || kind == EffectPerTry):
		return e.Value, true
	case kind == EffectRetries && e.Kind == EffectRetries:
		return e.Value + " on " + e.Name, true
	case kind == EffectDelay && e.Kind == EffectDelay:
		return e.Value + " for " + e.Name, true
	case kind == EffectMirror && e.Kind == EffectMirror:
		return e.Name + " " + e.Value, true
	case kind == EffectHash && e.Kind == EffectHash:
		return strings.TrimSpace(e.Name + " " + e.Value), true
	case e.Kind == EffectHeader && kind == what+" header":
		if verb == "remove" {
			return "remove " + e.Value, true
		}
		return e.Value, true
	case e.Kind == EffectTLS:
		text := map[string]string{"mutual TLS": tlsMutual, "TLS": tlsSimple, "plain text": tlsPlain}[kind]
		return e.Value, text != "" && (text == e.Value || text == tlsMutual && e.Value == tlsMesh)
	}
	return "", false
}
