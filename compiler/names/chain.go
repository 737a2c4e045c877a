package names

// Chains and the names of chains that many proxies have.
const (
	OutboundBlackHoleChain = "virtualOutbound-blackhole"
	OutboundCatchAllChain  = "virtualOutbound-catchall-tcp"
	InboundBlackHoleChain  = "virtualInbound-blackhole"
	InboundCatchAllHTTP    = "virtualInbound-catchall-http"
	PassthroughChain       = "PassthroughFilterChain"
)

// HTTPChain names the chain whose requests a route configuration routes: http|9080.
func HTTPChain(routes string) string { return "http|" + routes }

// TCPChain names the chain of a tcp route of a VirtualService, given as namespace and name, for a host. key tells the
// chains of one VirtualService apart.
func TCPChain(port uint32, namespace, name, host, key string) string {
	return "tcp|" + itoa(port) + "|" + namespace + "/" + name + "|" + host + "|" + key
}

// TLSChain names the chain of a tls match of a VirtualService.
func TLSChain(port uint32, namespace, name, key string) string {
	return "tls|" + itoa(port) + "|" + namespace + "/" + name + "|" + key
}

// ServerChain names the chain of a tls match of a VirtualService behind a server of a gateway.
func ServerChain(server, namespace, name, key string) string {
	return server + "|" + namespace + "/" + name + "|" + key
}
