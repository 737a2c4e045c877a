package envoytest_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/internal/envoytest"
)

var update = flag.Bool("update", false, "rewrite what Envoy is asked for")

// extensionList is what compiler/validate holds packed messages to.
const extensionList = "../../compiler/validate/extensions.txt"

// The list of extensions is what the release of Envoy says of itself; go test ./internal/envoytest -run Extensions -update
// writes it anew.
func TestExtensions(t *testing.T) {
	p := envoytest.Start(t)
	byCategory := map[string][]string{}
	for _, e := range p.Node().GetExtensions() {
		if !e.GetDisabled() {
			byCategory[e.GetCategory()] = append(byCategory[e.GetCategory()], e.GetTypeUrls()...)
		}
	}
	const filters = "envoy.filters.http"
	for _, name := range byCategory[filters] {
		if routeSpecific(p, name) {
			byCategory["per-route"] = append(byCategory["per-route"], name)
		}
	}
	var b strings.Builder
	for _, c := range slices.Sorted(maps.Keys(byCategory)) {
		names := slices.Compact(slices.Sorted(slices.Values(byCategory[c])))
		if len(names) > 0 {
			b.WriteString(c + " " + strings.Join(names, " ") + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(extensionList, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(extensionList)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("%s is not what Envoy says of itself:\n%s", extensionList, b.String())
	}
}

// routeSpecific tells whether a message configures a filter for a virtual host or route.
func routeSpecific(p *envoytest.Proxy, name string) bool {
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99999, protowire.VarintType), 1) // what is empty Envoy does not unpack
	err := p.Probe(&routev3.VirtualHost{Name: "x", Domains: []string{"*"}, TypedPerFilterConfig: map[string]*anypb.Any{"x": {TypeUrl: "type.googleapis.com/" + name, Value: unknown}}})
	return err == nil || !slices.ContainsFunc([]string{"route specific configurations", "registered implementation", "Unable to unpack"}, func(s string) bool { return strings.Contains(err.Error(), s) })
}
