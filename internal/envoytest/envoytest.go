// Package envoytest asks a real Envoy whether it would take what was compiled. A Proxy is a running Envoy, fed over delta
// ADS as a server would: one start serves many questions, and what Envoy refuses is a NACK that says why. Run judges a whole
// bootstrap, by envoy --mode validate.
package envoytest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/meshc/meshc/compiler/bundle"
	_ "github.com/meshc/meshc/compiler/envoy"
)

// Resources are what one proxy gets over ADS, virtual hosts inside their route configurations.
type Resources struct {
	Listeners []*listenerv3.Listener
	Routes    []*routev3.RouteConfiguration
	Clusters  []*clusterv3.Cluster
	Endpoints []*endpointv3.ClusterLoadAssignment
}

// Of returns what the proxies of a class get.
func Of(c *bundle.Class) (Resources, error) {
	var out Resources
	list, err := bundle.Inlined(c.Resources())
	if err != nil {
		return out, err
	}
	for _, r := range list {
		m, err := r.Message()
		if err != nil {
			return out, err
		}
		switch m := m.(type) {
		case *listenerv3.Listener:
			out.Listeners = append(out.Listeners, m)
		case *routev3.RouteConfiguration:
			out.Routes = append(out.Routes, m)
		case *clusterv3.Cluster:
			out.Clusters = append(out.Clusters, m)
		case *endpointv3.ClusterLoadAssignment:
			out.Endpoints = append(out.Endpoints, m)
		}
	}
	return out, nil
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
