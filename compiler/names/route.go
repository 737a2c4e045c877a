package names

import "strings"

// Routes names the route configuration of an outbound port: 9080.
func Routes(port uint32) string { return itoa(port) }

// HostRoutes names the route configuration that a host has for itself on a port: reviews.default.svc.cluster.local:9080.
// The virtual host of a service is called so, too.
func HostRoutes(host string, port uint32) string { return host + ":" + itoa(port) }

// RoutesPort reads the port in the name of a route configuration of a sidecar: of Routes, HostRoutes or Inbound.
func RoutesPort(name string) (uint32, bool) {
	if c, ok := ParseCluster(name); ok {
		return c.Port, c.Inbound
	}
	return number(name[strings.LastIndexByte(name, ':')+1:])
}

// ServerRoutes names the route configuration of the plaintext servers of gateways on a port: http.8080[.BIND].
func ServerRoutes(port uint32, bind string) string { return "http." + itoa(port) + dotted(bind) }

// TLSServerRoutes names the route configuration of a server of a gateway that ends TLS:
// https.PORT.PORTNAME.GATEWAY.NAMESPACE[.BIND].
func TLSServerRoutes(port uint32, portName, gateway, namespace, bind string) string {
	return "https." + itoa(port) + "." + portName + "." + gateway + "." + namespace + dotted(bind)
}

// TLSRoutes tells whether the requests of a route configuration of a gateway came over TLS that it ended.
func TLSRoutes(name string) bool { return strings.HasPrefix(name, "https.") }

func dotted(bind string) string {
	if bind == "" {
		return ""
	}
	return "." + bind
}

// VirtualHost names the resource of a virtual host, as VHDS wants it: ROUTE CONFIGURATION/VIRTUAL HOST.
func VirtualHost(routes, host string) string { return routes + "/" + host }

// ParseVirtualHost reads such a name.
func ParseVirtualHost(name string) (routes, host string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// InboundHost names the one virtual host of an inbound port: inbound|http|80, with the port of the service.
func InboundHost(port uint32) string { return "inbound|http|" + itoa(port) }
