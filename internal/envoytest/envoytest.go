// Package envoytest asks a real Envoy whether it would take what was compiled, in two ways. Validate folds the resources
// of one proxy into a bootstrap without a control plane and runs envoy --mode validate on it: route configurations go into
// their listeners, endpoints into their clusters, and secrets that would come by SDS are replaced by static ones made at
// run time, under the same names. A Proxy is a running Envoy, fed over delta ADS as a server would: one start serves many
// questions, and what Envoy refuses is a NACK that says why.
package envoytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	_ "github.com/meshc/meshc/compiler/envoy" // registers the messages that the lowering uses

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/lab"
)

// Resources are what one proxy gets over ADS, virtual hosts inside their route configurations.
type Resources struct {
	Listeners []*listenerv3.Listener
	Routes    []*routev3.RouteConfiguration
	Clusters  []*clusterv3.Cluster
	Endpoints []*endpointv3.ClusterLoadAssignment
}

// Parse reads the output of meshc bundle xds.
func Parse(text []byte) (Resources, error) {
	var doc struct{ Listeners, Routes, Clusters, Endpoints []json.RawMessage }
	if err := json.Unmarshal(text, &doc); err != nil {
		return Resources{}, fmt.Errorf("envoytest: output of bundle xds: %w", err)
	}
	var r Resources
	var err error
	if r.Listeners, err = parse(doc.Listeners, func() *listenerv3.Listener { return &listenerv3.Listener{} }); err != nil {
		return r, err
	}
	if r.Routes, err = parse(doc.Routes, func() *routev3.RouteConfiguration { return &routev3.RouteConfiguration{} }); err != nil {
		return r, err
	}
	if r.Clusters, err = parse(doc.Clusters, func() *clusterv3.Cluster { return &clusterv3.Cluster{} }); err != nil {
		return r, err
	}
	r.Endpoints, err = parse(doc.Endpoints, func() *endpointv3.ClusterLoadAssignment { return &endpointv3.ClusterLoadAssignment{} })
	return r, err
}

// parse decodes resources; a wrapping Any ("@type" at the top) is accepted.
func parse[M proto.Message](list []json.RawMessage, empty func() M) ([]M, error) {
	var out []M
	for _, raw := range list {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, fmt.Errorf("envoytest: %w", err)
		}
		delete(fields, "@type")
		plain, err := json.Marshal(fields)
		if err != nil {
			return nil, err
		}
		m := empty()
		if err := protojson.Unmarshal(plain, m); err != nil {
			return nil, fmt.Errorf("envoytest: %s: %w", m.ProtoReflect().Descriptor().Name(), err)
		}
		out = append(out, m)
	}
	return out, nil
}

// Bootstrap folds resources into a bootstrap that needs no control plane. The resources are not changed.
func Bootstrap(r Resources) (*bootstrapv3.Bootstrap, error) {
	f := newFolder(r)
	b := &bootstrapv3.Bootstrap{
		Node:            &corev3.Node{Id: "sidecar~127.0.0.1~validate.default~default.svc.cluster.local", Cluster: "validate"},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{},
	}
	for _, c := range r.Clusters {
		c = proto.Clone(c).(*clusterv3.Cluster)
		f.cluster(c)
		if err := f.walk(c.ProtoReflect()); err != nil {
			return nil, fmt.Errorf("envoytest: cluster %s: %w", c.Name, err)
		}
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, c)
	}
	for _, l := range r.Listeners {
		l = proto.Clone(l).(*listenerv3.Listener)
		if err := f.walk(l.ProtoReflect()); err != nil {
			return nil, fmt.Errorf("envoytest: listener %s: %w", l.Name, err)
		}
		b.StaticResources.Listeners = append(b.StaticResources.Listeners, l)
	}
	secrets, err := f.staticSecrets()
	b.StaticResources.Secrets = secrets
	return b, err
}

// cluster gives an EDS cluster its endpoints.
func (f *folder) cluster(c *clusterv3.Cluster) {
	if c.GetType() != clusterv3.Cluster_EDS {
		return
	}
	name := c.GetEdsClusterConfig().GetServiceName()
	if name == "" {
		name = c.Name
	}
	c.EdsClusterConfig = nil
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{ClusterName: c.Name}
	if cla, ok := f.endpoints[name]; ok {
		c.LoadAssignment = proto.Clone(cla).(*endpointv3.ClusterLoadAssignment)
		c.LoadAssignment.ClusterName = c.Name
	}
}

// Validate fails the test when Envoy refuses the resources. Without an Envoy the test is skipped, and fails with
// MESHC_REQUIRE_ALL=1.
func Validate(t testing.TB, name string, r Resources) {
	t.Helper()
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatalf("%v, and MESHC_REQUIRE_ALL=1 wants every test to run", err)
		}
		t.Skip(err)
	}
	b, err := Bootstrap(r)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if err := Run(envoy, t.TempDir(), b); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// Bundle validates what each class of a bundle gets.
func Bundle(t testing.TB, b *bundle.Bundle) {
	t.Helper()
	for _, c := range b.Classes {
		text, err := b.XDS(c)
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		r, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		Validate(t, c.ID, r)
	}
}

// Run runs envoy --mode validate on a bootstrap.
func Run(envoy, dir string, b *bootstrapv3.Bootstrap) error {
	text, err := protojson.Marshal(b)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(envoy, "--mode", "validate", "--config-path", file, "--log-level", "error", "--disable-hot-restart")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("envoy does not take it: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
