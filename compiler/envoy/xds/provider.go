package xds

import (
	"fmt"
	"slices"
	"strings"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/suggest"
)

// ExtensionProvider returns a provider of the mesh by name; of several with the same name the last one counts.
func ExtensionProvider(c *meshconfig.MeshConfig, name string) *meshconfig.MeshConfig_ExtensionProvider {
	for _, p := range slices.Backward(c.GetExtensionProviders()) {
		if p.GetName() == name {
			return p
		}
	}
	return nil
}

// ProviderHint says which provider of the mesh was meant by a name that none has, or which there are; it is empty where the
// name is one.
func ProviderHint(c *meshconfig.MeshConfig, name string) string {
	if ExtensionProvider(c, name) != nil {
		return ""
	}
	var names []string
	for _, p := range c.GetExtensionProviders() {
		names = append(names, p.GetName())
	}
	return suggest.Hint("providers", name, names)
}

// ProviderCluster resolves the service of a provider, [namespace/]host, to its host name and cluster.
func ProviderCluster(m *mesh.Mesh, service string, port uint32) (hostname, cluster string, err error) {
	if port == 0 || port > 65535 {
		return "", "", fmt.Errorf("port %d is not from 1 to 65535", port)
	}
	namespace, host, ok := strings.Cut(service, "/")
	if !ok {
		namespace, host = "", service
	}
	var found *mesh.Service
	for _, s := range m.Services {
		if !strings.EqualFold(s.Hostname, host) || namespace != "" && s.Namespace != namespace {
			continue
		}
		if found != nil && found.Namespace != s.Namespace {
			return "", "", fmt.Errorf("service %q exists in the namespaces %s and %s: write namespace/host", service, found.Namespace, s.Namespace)
		}
		found = s
	}
	if found == nil {
		return "", "", fmt.Errorf("service %q does not exist", service)
	}
	if !slices.ContainsFunc(found.Ports, func(p *mesh.Port) bool { return p.Number == port }) {
		return "", "", fmt.Errorf("service %q has no port %d", service, port)
	}
	return found.Hostname, names.Outbound(port, "", found.Hostname), nil
}
