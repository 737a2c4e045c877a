package replay

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// request makes the request of a line; agent says whether anything asks for the user agent.
func (d *directory) request(e *entry, s sender, agent bool) (trace.Request, error) {
	r := trace.Request{From: s.from, Method: e.Method, Headers: map[string][]string{}}
	if s.gateway || s.outside {
		r.Source = e.Remote.Addr()
	}
	host, port := d.target(e, s)
	if host == "" || port == 0 {
		return r, errTarget
	}
	if a := e.Local.Addr(); a.IsValid() && a.String() != host && !s.gateway && !d.known(host) {
		r.Address = a
	}
	if !e.http() {
		r.URL = e.connection(net.JoinHostPort(host, strconv.Itoa(int(port))), port)
		return r, nil
	}
	e.call(&r, s, host, port)
	if e.UserAgent != "" && agent {
		r.Headers["user-agent"] = []string{e.UserAgent}
	}
	if before := forwardedBefore(e); before != "" && s.gateway {
		r.Headers["x-forwarded-for"] = []string{before}
	}
	return r, nil
}

// connection is the URL of what is no request of HTTP.
func (e *entry) connection(to string, port uint16) string {
	if e.ServerName != "" && !names.IsServerName(e.ServerName) {
		return "tls://" + net.JoinHostPort(e.ServerName, strconv.Itoa(int(port)))
	}
	return "tcp://" + to
}

// call sets the URL of a request of HTTP, and the host where the client named another.
func (e *entry) call(r *trace.Request, s sender, host string, port uint16) {
	to := net.JoinHostPort(host, strconv.Itoa(int(port)))
	scheme := "http://"
	switch {
	case e.ServerName != "" && s.gateway:
		scheme = "https://"
		if e.Authority != "" && hostOf(e.Authority) != e.ServerName { // the client asked for another name in TLS
			to = net.JoinHostPort(e.ServerName, strconv.Itoa(int(port)))
		}
	case strings.HasPrefix(e.UserAgent, "grpc-"):
		scheme = "grpc://"
	}
	path := e.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" // CONNECT and OPTIONS * have none
	}
	r.URL = scheme + to + path
	if e.Authority != "" && e.Authority != to && !(e.Authority == host && (port == 80 && scheme != "https://" || port == 443 && scheme == "https://")) {
		r.Headers["host"] = []string{e.Authority}
	}
}

// forwardedBefore is the header as the client sent it: the log has it with the client's own address, which the gateway added.
func forwardedBefore(e *entry) string {
	list := strings.Split(e.ForwardedFor, ",")
	last := len(list) - 1
	if a, err := netip.ParseAddr(strings.TrimSpace(list[last])); err == nil && a.Unmap() == e.Remote.Addr() {
		list = list[:last]
	}
	return strings.Join(list, ",")
}

// target is the host and port that a client called.
func (d *directory) target(e *entry, s sender) (host string, port uint16) {
	port = e.Local.Port()
	c, isCluster := names.ParseCluster(e.Cluster)
	if port == 0 && isCluster {
		port = uint16(c.Port)
	}
	switch {
	case s.outside && d.byAddress[e.Local.Addr()] != nil:
		return e.Local.Addr().String(), port
	case e.http() && e.Authority != "":
		return hostOf(e.Authority), port
	case isCluster && c.Host != "":
		return c.Host, port
	case e.Local.IsValid():
		return e.Local.Addr().String(), port
	}
	return "", port
}

// hostOf is an authority without its port and brackets.
func hostOf(authority string) string {
	if h, _, err := net.SplitHostPort(authority); err == nil {
		return strings.ToLower(h)
	}
	return strings.ToLower(strings.Trim(authority, "[]"))
}

// disagrees says how the walk through base contradicts a line; "" if it does not.
func disagrees(e *entry, r *trace.Result) string {
	refused, denied := true, false
	for _, l := range r.Path.Leaves() {
		refused = refused && (l.Outcome.Verdict == trace.Denied || l.Outcome.Verdict == trace.Failed)
		denied = denied || l.Outcome.Verdict == trace.Denied
	}
	clusters := map[string]bool{}
	for _, s := range r.Path.AllSteps() {
		if s.Kind == "cluster" {
			clusters[s.Name] = true
		}
	}
	const why = ": it had a header that logs do not show, or BASE is not what ran"
	switch astray := e.Cluster != "" && !e.server() && !clusters[e.Cluster]; {
	case astray && len(clusters) > 0:
		return "the log has another cluster than BASE" + why
	case astray:
		return "the log has a cluster and BASE sends it nowhere" + why
	case strings.HasPrefix(e.Details, "rbac_access_denied") && !denied:
		return "a policy refused it and BASE lets it through" + why
	case e.Code >= 200 && e.Code < 400 && refused:
		return "it was answered and BASE refuses it" + why
	case strings.Contains(e.Flags, "NR") && len(clusters) > 0 && !refused:
		return "it found no route and BASE has one" + why
	}
	return ""
}

// within is a signature of a source address: which of some blocks hold it.
func within(a netip.Addr, blocks []netip.Prefix) string {
	var b strings.Builder
	for i, p := range blocks {
		if p.Contains(a) {
			b.WriteString(strconv.Itoa(i) + ",")
		}
	}
	return b.String()
}
