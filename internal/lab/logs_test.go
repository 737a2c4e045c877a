//go:build linux

package lab

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
)

// logsTo has the proxies of the mesh send their logs to a service that leads to gamma, or to nothing.
func logsTo(endpoints string) map[string]string {
	all := maps.Clone(baseParts)
	all["mesh"] += "extensionProviders: [{name: far, envoyHttpAls: {service: logs.lab.svc.cluster.local, port: 8080}}]\n"
	all["more"] = strings.ReplaceAll(darkService(endpoints)[strings.Index(darkService(endpoints), "---"):], "dark", "logs") +
		"---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: mesh, namespace: istio-system}\nspec: {accessLogging: [{providers: [{name: far}]}]}\n"
	return all
}

// TestLogsInEnvoy: where the service that takes logs has lost its endpoints, a proxy has nobody any more to send them to, and each caller whose
// requests were logged is named.
func TestLogsInEnvoy(t *testing.T) {
	require(t)
	l := runSecured(t, parted(baseParts), Spec{})
	var sides []*bundle.Bundle
	for i, endpoints := range []string{"{addresses: [10.9.1.3], conditions: {ready: true}}", ""} {
		source := parted(logsTo(endpoints)).write(t)
		b := compiled(t, source)
		sides = append(sides, b)
		if err := l.Apply(context.Background(), source); err != nil {
			t.Fatal(err)
		}
		settled(t, l, b)
		if r, err := l.Send(context.Background(), "client", Request{Method: "GET", URL: "http://10.96.9.2:8080/", Host: "beta"}); err != nil || r.Status != 200 {
			t.Fatalf("%+v, %v", r, err)
		}
		sent := func() bool {
			text, err := l.Admin(context.Background(), "client", "/clusters")
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text) {
				_, total, ok := strings.Cut(line, "||logs.lab.svc.cluster.local::10.9.1.3:8080::cx_total::")
				if ok && strings.TrimSpace(total) != "0" {
					return true
				}
			}
			return false
		}
		if i == 0 {
			eventually(t, func() error {
				if !sent() {
					return errors.New("the proxy does not connect to where logs go")
				}
				return nil
			})
		} else if sent() {
			t.Error("the proxy connects to a place for logs that is gone")
		}
	}
	r, err := change.Compare(sides[0], sides[1])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
		return d.Kind == change.Tuned && d.Category == change.Observability && d.Host == "beta.lab.svc.cluster.local" &&
			slices.ContainsFunc(d.From, func(r change.Ref) bool { return r.Name == "client" })
	}) {
		t.Errorf("differences %v, undecided %v", r.Differences, r.Undecided)
	}
}
