package cluster

import (
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/mesh"
)

// expandStatName fills the pattern of MeshConfig.inboundClusterStatName and outboundClusterStatName: %SERVICE% (name.namespace),
// %SERVICE_NAME%, %SERVICE_FQDN%, %SERVICE_PORT%, %TARGET_PORT%, %SERVICE_PORT_NAME% and %SUBSET_NAME%.
func expandStatName(pattern string, svc *mesh.Service, port *mesh.Port, subset string) string {
	short := svc.Hostname
	if svc.Kubernetes {
		short = svc.Name + "." + svc.Namespace
	}
	name := svc.Hostname
	if svc.Kubernetes {
		name = svc.Name
	}
	target := ""
	if port.TargetPort > 0 {
		target = strconv.Itoa(int(port.TargetPort))
	}
	return strings.NewReplacer(
		"%SERVICE%", short, "%SERVICE_NAME%", name, "%SERVICE_FQDN%", svc.Hostname,
		"%SERVICE_PORT%", strconv.Itoa(int(port.Number)), "%TARGET_PORT%", target,
		"%SERVICE_PORT_NAME%", port.Name, "%SUBSET_NAME%", subset,
	).Replace(pattern)
}
