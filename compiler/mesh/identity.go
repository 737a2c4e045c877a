package mesh

import (
	"fmt"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// metadataIdentity is the entry of MeshConfig.defaultConfig.proxyMetadata that says where proxies get their certificate
// and roots from. It holds for the whole mesh: clusters are shared by all proxies that see the same services.
const metadataIdentity = "MESHC_IDENTITY"

// Values of metadataIdentity.
const (
	IdentityFromServer     = "server" // or "": by SDS over ADS
	IdentityFromSPIRE      = "spire"  // by SDS from the agent of SPIRE on the node
	IdentityFromIstioAgent = "agent"  // by SDS from Istio's agent beside the proxy, which asks a CA
)

// IdentitySource tells where proxies get their certificate and roots from.
func (m *Mesh) IdentitySource() string {
	if v := m.Config.GetDefaultConfig().GetProxyMetadata()[metadataIdentity]; v != "" {
		return v
	}
	return IdentityFromServer
}

// IdentityFromAgent tells whether an agent hands out certificate and roots. Which agent, only the bootstrap of a proxy says:
// compiled resources ask all of them under one name, so that a mesh may move from one to the other, proxy by proxy.
func (m *Mesh) IdentityFromAgent() bool { return m.IdentitySource() != IdentityFromServer }

func checkIdentitySource(o *schema.Object, c *meshconfig.MeshConfig) (out diag.List) {
	switch v := c.GetDefaultConfig().GetProxyMetadata()[metadataIdentity]; v {
	case "", IdentityFromServer, IdentityFromSPIRE, IdentityFromIstioAgent:
	default:
		out.Add(o.Finding(diag.Error, "MESHC1204", fmt.Sprintf("%s is %q: no proxy would get its certificate", metadataIdentity, v), "write spire, for the agent of SPIRE on the node, agent, for Istio's agent beside the proxy, or server", "data", "mesh"))
	}
	return out
}
