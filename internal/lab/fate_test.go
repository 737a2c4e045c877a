//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
)

// fated is a change and a request about which one could think otherwise than Envoy.
type fated struct {
	name       string
	base, head map[string]string // parts
	asked      Request           // of the workload client
	was, is    string            // what real Envoys answer: the status, and the application that it comes from
	host       string            // under which the report has it
	kind       string            // "": no difference
	undecided  bool              // the report leaves it open
}

// darkService leads to gamma, or to nothing; a policy of gamma lets nobody in.
func darkService(endpoints string) string {
	return strings.Split(policyFor("gamma", "ALLOW", ""), "  rules")[0] + `---
apiVersion: v1
kind: Service
metadata: {name: dark, namespace: lab}
spec: {clusterIP: 10.96.9.50, selector: {app: gamma}, ports: [{name: http, port: 8080, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dark, namespace: lab, labels: {kubernetes.io/service-name: dark}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [` + endpoints + "]\n"
}

func fates() []fated {
	named := func(sni string) map[string]string {
		return map[string]string{"betaDR": "\n    tls: {mode: ISTIO_MUTUAL, sni: " + sni + ", subjectAltNames: [\"spiffe://a/b\"]}"}
	}
	at := func(address, host, path string) Request {
		return Request{Method: "GET", URL: "http://" + address + ":8080" + path, Host: host}
	}
	return []fated{
		{name: "a name is one name in any case, and wherever it is asked for",
			head:  map[string]string{"alpha": strings.Replace(baseParts["alpha"], "host: beta", "host: gamma", 1)},
			asked: at("10.96.9.2", "ALPHA", "/v2"), was: "200 beta", is: "200 gamma", host: "alpha.lab.svc.cluster.local", kind: change.Moved},
		{name: "a name that nobody knows is one also at the address of a server",
			head:  map[string]string{"mesh": baseParts["mesh"] + "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"},
			asked: at("10.9.1.1", "unlisted.example.org", "/"), was: "200 alpha", is: "502 ", host: "*", kind: change.Closed},
		{name: "what a server refuses is refused as well where nothing is behind the service",
			base:  map[string]string{"more": darkService("{addresses: [10.9.1.3], conditions: {ready: true}}")},
			head:  map[string]string{"more": darkService("")},
			asked: at("10.96.9.50", "dark", "/"), was: "403 ", is: "503 ", host: "dark.lab.svc.cluster.local", undecided: true},
		{name: "a client that expects a name which no server has gets no answer, whatever server name it sends",
			base: named("x.test"), head: named("y.test"),
			asked: at("10.96.9.2", "beta", "/"), was: "503 ", is: "503 ", host: "beta.lab.svc.cluster.local"},
	}
}

// TestFatesInEnvoy: where it is not plain what a change does with a request, real Envoys decide, and the report says the same.
func TestFatesInEnvoy(t *testing.T) {
	require(t)
	l := runSecured(t, parted(baseParts), Spec{})
	for _, c := range fates() {
		var sides []*bundle.Bundle
		for i, parts := range []map[string]string{c.base, c.head} {
			all := maps.Clone(baseParts)
			maps.Copy(all, parts)
			source := parted(all).write(t)
			b := compiled(t, source)
			sides = append(sides, b)
			if err := l.Apply(context.Background(), source); err != nil {
				t.Fatal(err)
			}
			settled(t, l, b)
			r, err := l.Send(context.Background(), "client", c.asked)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprintf("%d %s", r.Status, r.Echo.Name), []string{c.was, c.is}[i]; got != want {
				t.Errorf("%s: Envoy answers %q on side %d, not %q", c.name, got, i, want)
			}
		}
		r, err := change.Compare(sides[0], sides[1])
		if err != nil {
			t.Fatal(err)
		}
		c.check(t, r)
	}
}

// check wants the report to have the request under its host, as a difference of the kind, open or not at all.
func (c *fated) check(t *testing.T, r *change.Report) {
	t.Helper()
	byClient := func(list []change.Ref) bool {
		return slices.ContainsFunc(list, func(r change.Ref) bool { return r.Name == "client" })
	}
	said := false
	for _, d := range r.Differences {
		if !byClient(d.From) {
			continue
		}
		if said = said || d.Host == c.host && d.Kind == c.kind; d.Host != c.host || c.kind == "" {
			if c.kind == "" || c.host != "*" {
				t.Errorf("%s: the report has %s, %s: %s", c.name, d.Kind, d.Category, d.Witness.String())
			}
		}
	}
	if said != (c.kind != "") {
		t.Errorf("%s: a difference of the kind %q at %s: %t", c.name, c.kind, c.host, said)
	}
	open := slices.ContainsFunc(r.Undecided, func(u change.Undecided) bool { return u.Host == c.host && byClient(u.From) })
	if open != c.undecided {
		t.Errorf("%s: undecided %v", c.name, r.Undecided)
	}
}
