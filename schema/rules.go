package schema

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/re2"
	"github.com/meshc/meshc/internal/diag"
)

// shapeCode is the code of all that the API server or Istio's webhook refuses.
const shapeCode = "IST0106"

// rules collects what breaks the rules between the fields of one object, or of settings inside a document.
type rules struct {
	o   *Object
	t   *target // of settings; nil: the spec of the object
	out diag.List
}

// at is a path below spec, or in the settings.
type at []any

func (p at) to(e ...any) at { return append(slices.Clip(p), e...) }

func (r *rules) bad(p at, help, format string, args ...any) {
	if r.t != nil {
		r.out.Add(r.t.finding(diag.Error, shapeCode, fmt.Sprintf(format, args...), help, p))
		return
	}
	r.out.Add(r.o.Finding(diag.Error, shapeCode, fmt.Sprintf(format, args...), help, append([]any{"spec"}, p...)...))
}

var (
	label    = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	number   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	header   = regexp.MustCompile(`^:?[-_A-Za-z0-9!#$&'*+.^|~]+$`)
)

// fqdn tells why a name is not a host name; "" if it is one.
func fqdn(s string) string {
	if s == "" {
		return "is empty"
	}
	if len(s) > 255 {
		return "is longer than 255 characters"
	}
	return dnsLabels(s)
}

// dnsLabels tells which part of a name is no label; "" if all are. A name that ends in a number is an address, not a host.
func dnsLabels(s string) string {
	parts := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, l := range parts {
		if !label.MatchString(l) {
			return fmt.Sprintf("has the part %q, which is no DNS label", l)
		}
	}
	if last := parts[len(parts)-1]; number.MatchString(last) && !strings.HasSuffix(s, ".") {
		return fmt.Sprintf("ends in the number %s, which no host name does", last)
	}
	return ""
}

// wildcard is fqdn for a name that may begin with "*.", or, if partial, with "*" and the end of a label.
func wildcard(s string, partial bool) string {
	if s == "*" {
		return ""
	}
	if strings.HasPrefix(s, "*") && !strings.HasPrefix(s, "*.") {
		if !partial {
			return "has a * that does not stand for a whole label"
		}
		return fqdn(strings.TrimLeft(s[1:], "-"))
	}
	if len(s) <= 255 && label.MatchString(s) {
		return "" // a single label may be a number, as the name of a Service may
	}
	return fqdn(strings.TrimPrefix(s, "*."))
}

const hostHelp = "Write a host name as reviews.default.svc.cluster.local; * may only be its whole first label."

func (r *rules) host(p at, s string) {
	if why := fqdn(s); why != "" {
		r.bad(p, hostHelp, "the host %q %s", s, why)
	}
}

// wildcardHost is about the name of a service: a host, or all hosts below one.
func (r *rules) wildcardHost(p at, s string) {
	if why := wildcard(s, true); why != "" {
		r.bad(p, hostHelp, "the host %q %s", s, why)
	}
}

// calledHost is wildcardHost for what clients may call by its address, too.
func (r *rules) calledHost(p at, s string) {
	if _, err := netip.ParseAddr(s); err != nil {
		r.wildcardHost(p, s)
	}
}

// listenedHost is about what becomes a server name or a scope, where * stands for whole labels and a name is written out.
func (r *rules) listenedHost(p at, s string, addresses bool) {
	if _, err := netip.ParseAddr(s); err == nil && addresses {
		return
	}
	why := wildcard(s, false)
	if why == "" && s != "*" && !strings.Contains(s, ".") {
		why = "is a short name, which is not looked up here"
	}
	if why != "" {
		r.bad(p, hostHelp, "the host %q %s", s, why)
	}
}

func (r *rules) port(p at, n uint32) {
	if n < 1 || n > 65535 {
		r.bad(p, "Use a port from 1 to 65535.", "the port %d is not in the range 1 to 65535", n)
	}
}

// durationOrZero holds a length of time to whole milliseconds; 0 switches something off.
func (r *rules) durationOrZero(p at, d *durationpb.Duration) {
	if v := d.AsDuration(); v != 0 {
		if why, help := wholeMillis(v); why != "" {
			r.bad(p, help, "%s", why)
		}
	}
}

func (r *rules) percent(p at, v float64) {
	if v != 0 && (v < 0.0001 || v > 100) {
		r.bad(p, "Use 0, or a number from 0.0001 to 100.", "the percentage %v is out of range", v)
	}
}

func (r *rules) headerName(p at, s string) {
	if !header.MatchString(s) {
		r.bad(p, "Use letters, digits and dashes.", "%q is not a header name", s)
	}
}

// oneLine refuses what no header, and so no host or path, can hold.
func (r *rules) oneLine(p at, s string) {
	if strings.ContainsAny(s, "\r\n\x00") {
		r.bad(p, "Write it in one line.", "%q has a line break or a zero byte, which Envoy refuses here", s)
	}
}

// maxRegex is the longest regular expression that Istio's webhook takes.
const maxRegex = 1024

func (r *rules) regex(p at, s string) {
	if len(s) > maxRegex {
		r.bad(p, "Write a shorter expression, or several matches.", "the regular expression has %d characters; at most %d are taken", len(s), maxRegex)
		return
	}
	r.program(p, s)
}

// program is regex for expressions whose length nobody limits.
func (r *rules) program(p at, s string) {
	switch n, err := re2.ProgramSize(s); {
	case err != nil:
		r.bad(p, "Write it in RE2 syntax.", "the regular expression %q is invalid: %v", s, err)
	case n > re2.Bootstrap:
		r.bad(p, "Write a shorter expression: smaller counts of repetition, or several matches.", "the regular expression has the RE2 program size %d, and %d is the most that Envoy takes", n, re2.Bootstrap)
	}
}

func (r *rules) exportTo(p at, list []string, service bool) {
	seen := map[string]bool{}
	for i, e := range list {
		q := p.to(i)
		own := e
		if e == "." {
			own = r.o.Namespace
		}
		switch {
		case seen[own] && own != e, e == r.o.Namespace && seen["."]:
			r.bad(q, "Name each namespace once.", "exportTo names the namespace %s twice: \".\" is the object's own", r.o.Namespace)
		case seen[e]:
			r.bad(q, "Name each namespace once.", "%q stands in exportTo twice", e)
		case e == "~" && !service:
			r.bad(q, "Use . for the object's own namespace.", "exportTo \"~\" hides the object from all, which only a ServiceEntry may do")
		case e != "*" && e != "." && e != "~" && !dnsLabel.MatchString(e):
			r.bad(q, "Use a namespace, \".\" for the own one or \"*\" for all.", "exportTo %q is not a namespace", e)
		}
		seen[e] = true
	}
	if len(list) > 1 && (seen["*"] || seen["~"]) {
		r.bad(p, "Keep \"*\" (or \"~\") alone, or name namespaces.", "exportTo mixes all or none with single namespaces")
	}
}

// labels checks a selector.
func (r *rules) labels(p at, m map[string]string) {
	for _, k := range sortedStrings(m) {
		switch {
		case k == "":
			r.bad(p, "Write a label's name before the colon.", "a selector has an empty label name")
		case strings.Contains(k, "*"), strings.Contains(m[k], "*"):
			r.bad(p.to(k), "Labels match exactly; write out the value.", "the selector %s=%s has a wildcard", k, m[k])
		case len(m[k]) > 63 || (m[k] != "" && !labelValue.MatchString(m[k])):
			r.bad(p.to(k), "Use at most 63 letters, digits, '-', '_' and '.'.", "%q is not a label value", m[k])
		case !labelKey.MatchString(k):
			r.bad(p.to(k), "Use letters, digits, '-', '_' and '.', after an optional DNS prefix and '/'.", "%q is not a label name", k)
		}
	}
}

var (
	labelValue = regexp.MustCompile(`^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$`)
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$`)
)

// address checks an IP address or CIDR block.
func ipOrCIDR(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(s)
	return err == nil
}
