// Package urlpath does to the paths and authorities of requests what a connection manager and its routes do: it normalises,
// rewrites and strips them as Envoy does.
package urlpath

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// StripPort cuts the port off an authority.
func StripPort(authority string) string {
	if a, err := netip.ParseAddrPort(authority); err == nil {
		return strings.TrimSuffix(authority, ":"+strconv.Itoa(int(a.Port())))
	}
	host, port, ok := strings.Cut(authority, ":")
	if _, err := strconv.ParseUint(port, 10, 16); ok && err == nil {
		return host
	}
	return authority
}

// CutQuery splits a path before its query.
func CutQuery(path string) (bare, query string) {
	if i := strings.IndexByte(path, '?'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// Normalize does to a path what a connection manager does before anything looks at it: percent encoded letters are
// decoded and characters that no URL holds encoded, slashes that are encoded too if so set, . and .. resolved, and repeated
// slashes merged.
func Normalize(path string, m *hcmv3.HttpConnectionManager) string {
	bare, query := CutQuery(path)
	if i := strings.IndexByte(bare, '#'); i >= 0 {
		bare = bare[:i]
	}
	if m.GetNormalizePath().GetValue() {
		bare = canonical(bare)
	}
	switch m.GetPathWithEscapedSlashesAction() {
	case hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD, hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT:
		bare = strings.NewReplacer("%2F", "/", "%2f", "/", "%5C", `\`, "%5c", `\`).Replace(bare)
	}
	if m.GetNormalizePath().GetValue() {
		bare = resolveDots(strings.ReplaceAll(bare, `\`, "/"))
	}
	if m.GetMergeSlashes() {
		bare = mergeSlashes(bare)
	}
	return bare + query
}

// mergeSlashes leaves one of each row of slashes. Envoy keeps the first and the last of a path, so two are left of one that is
// nothing but slashes.
func mergeSlashes(p string) string {
	if strings.Trim(p, "/") == "" && p != "/" {
		return "//"[:min(2, len(p))]
	}
	return regexp.MustCompile("/+").ReplaceAllString(p, "/")
}

// canonical decodes what needs no encoding, leaves other encodings as they are written, and encodes what needs it.
func canonical(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' {
			if p[i] <= ' ' || p[i] >= 0x7f || strings.IndexByte("\"<>^`{|}", p[i]) >= 0 {
				fmt.Fprintf(&b, "%%%02X", p[i])
			} else {
				b.WriteByte(p[i])
			}
			continue
		}
		c, ok := escaped(p[i:])
		switch {
		case !ok:
			b.WriteByte('%')
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
			i += 2
		default:
			b.WriteString(p[i : i+3])
			i += 2
		}
	}
	return b.String()
}

// escaped reads the encoding that a text begins with.
func escaped(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:3], 16, 8)
	return byte(n), err == nil
}

// Malformed tells whether a connection manager that normalises paths refuses one.
func Malformed(path string, m *hcmv3.HttpConnectionManager) bool {
	bare, _ := CutQuery(path)
	return m.GetNormalizePath().GetValue() && strings.Contains(bare, "%00")
}

func resolveDots(p string) string {
	segments := strings.Split(p, "/")
	out := segments[:0:0]
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s == "." && !last:
		case s == ".":
			out = append(out, "")
		case s == "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return strings.Join(out, "/")
}

// RegexRewrite replaces every match of a pattern in the path, not in the query; \1 in the replacement is the first group.
func RegexRewrite(path string, rw *matcherv3.RegexMatchAndSubstitute) (string, error) {
	re, err := regexp.Compile(rw.GetPattern().GetRegex())
	if err != nil {
		return path, err
	}
	to := strings.ReplaceAll(rw.GetSubstitution(), "$", "$$")
	to = regexp.MustCompile(`\\(\d)`).ReplaceAllString(to, `$${$1}`)
	bare, query := CutQuery(path)
	return re.ReplaceAllString(bare, to) + query, nil
}

// SwapPrefix replaces what the match of a route matched: its prefix, or the whole path of other matches.
func SwapPrefix(m *routev3.RouteMatch, path, to string) string {
	bare, query := CutQuery(path)
	n := len(bare)
	switch s := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		n = min(n, len(s.Prefix))
	case *routev3.RouteMatch_PathSeparatedPrefix:
		n = min(n, len(s.PathSeparatedPrefix))
	}
	return to + bare[n:] + query
}
