package route

import (
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
)

// headerOps are Headers of a route or destination in Envoy's form.
type headerOps struct {
	requestAdd, responseAdd       []*corev3.HeaderValueOption
	requestRemove, responseRemove []string
	authority                     string // from request set or add of host or :authority
}

// headerOps lowers Headers. Within a list set comes before add, each sorted by name. The host is no header that Envoy
// lets routes change: on requests it becomes a host rewrite, other pseudo headers are left out and reported.
func (b *httpBlock) headerOps(in *networking.Headers, field ...any) headerOps {
	req, resp := in.GetRequest(), in.GetResponse()
	at := func(side, op string) []any { return append(slices.Clone(field), side, op) }
	var out headerOps
	set, authority := b.headerValues(req.GetSet(), corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, true, at("request", "set"))
	add, added := b.headerValues(req.GetAdd(), corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD, true, at("request", "add"))
	out.requestAdd, out.authority = append(set, add...), authority
	if authority == "" {
		out.authority = added
	}
	set, _ = b.headerValues(resp.GetSet(), corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, false, at("response", "set"))
	add, _ = b.headerValues(resp.GetAdd(), corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD, false, at("response", "add"))
	out.responseAdd = append(set, add...)
	out.requestRemove = b.headerNames(req.GetRemove(), at("request", "remove"))
	out.responseRemove = b.headerNames(resp.GetRemove(), at("response", "remove"))
	return out
}

func (b *httpBlock) headerValues(in map[string]string, action corev3.HeaderValueOption_HeaderAppendAction, request bool, field []any) ([]*corev3.HeaderValueOption, string) {
	var out []*corev3.HeaderValueOption
	authority := ""
	for _, k := range slices.Sorted(maps.Keys(in)) {
		switch {
		case request && (strings.EqualFold(k, "host") || strings.EqualFold(k, ":authority")):
			authority = in[k]
		case internalHeader(k):
			b.reportInternal(k, append(slices.Clone(field), k))
		default:
			out = append(out, headerValue(k, in[k], action))
		}
	}
	return out, authority
}

func (b *httpBlock) headerNames(in []string, field []any) []string {
	var out []string
	for i, k := range in {
		if internalHeader(k) {
			b.reportInternal(k, append(slices.Clone(field), i))
			continue
		}
		out = append(out, k)
	}
	return out
}

// internalHeader tells whether Envoy refuses to let a route touch the header.
func internalHeader(name string) bool {
	return strings.HasPrefix(name, ":") || strings.EqualFold(name, "host")
}

func (b *httpBlock) reportInternal(name string, field []any) {
	b.report(diag.Warning, codeNoEffect, `header operation on "`+name+`" has no effect: Envoy does not let routes change it here`,
		"use rewrite.authority for the host and rewrite.uri for the path, or remove the operation", field...)
}

// headerValue is one header to set or add.
func headerValue(key, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: key, Value: value}, AppendAction: action}
}

// addTo puts the operations on a route, after what it has.
func (o headerOps) addTo(r *routev3.Route) {
	r.RequestHeadersToAdd = append(r.RequestHeadersToAdd, o.requestAdd...)
	r.RequestHeadersToRemove = append(r.RequestHeadersToRemove, o.requestRemove...)
	r.ResponseHeadersToAdd = append(r.ResponseHeadersToAdd, o.responseAdd...)
	r.ResponseHeadersToRemove = append(r.ResponseHeadersToRemove, o.responseRemove...)
}
