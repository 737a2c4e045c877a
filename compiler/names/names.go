// Package names builds and reads the names of xDS resources and of what is inside them: clusters, listeners, route
// configurations, virtual hosts, secrets, policies, classes.
//
// They are Istio's, because people's habits, dashboards and EnvoyFilters know them. Each form is written once, here:
// whoever needs the port or the host behind a name asks the function that stands beside the one which built it, and
// nobody else takes a name apart.
package names

import (
	"strconv"
	"strings"
)

// Clusters and listeners that every sidecar has.
const (
	BlackHoleCluster          = "BlackHoleCluster"
	PassthroughCluster        = "PassthroughCluster"
	InboundPassthroughCluster = "InboundPassthroughCluster"
	VirtualOutbound           = "virtualOutbound"
	VirtualInbound            = "virtualInbound"
)

// Cluster is what the name of a cluster says.
type Cluster struct {
	Inbound bool   // of a port of the workload itself; else of a port of a service
	Port    uint32 // of the workload or the service
	Subset  string // "" the whole service
	Host    string // of the service, lower case FQDN; "" inbound
}

// Outbound names the cluster of a service port, subset "" for the whole service:
// outbound|80|v1|reviews.default.svc.cluster.local.
func Outbound(port uint32, subset, host string) string {
	return "outbound|" + itoa(port) + "|" + subset + "|" + host
}

// Inbound names the cluster of a port of the workload: inbound|8080||.
func Inbound(port uint32) string { return "inbound|" + itoa(port) + "||" }

// ServerName names a service port in SNI form, the default SNI of Istio mutual TLS:
// outbound_.80_.v1_.reviews.default.svc.cluster.local.
func ServerName(port uint32, subset, host string) string {
	return "outbound_." + itoa(port) + "_." + subset + "_." + host
}

// Authority is the name of a cluster as an HTTP authority, which may hold no "|".
func Authority(cluster string) string { return strings.ReplaceAll(cluster, "|", "_.") }

// ParseCluster reads the name of a cluster that Outbound or Inbound built.
func ParseCluster(name string) (Cluster, bool) {
	part := strings.Split(name, "|")
	if len(part) != 4 || part[0] != "outbound" && part[0] != "inbound" {
		return Cluster{}, false
	}
	port, err := strconv.ParseUint(part[1], 10, 16)
	return Cluster{Inbound: part[0] == "inbound", Port: uint32(port), Subset: part[2], Host: part[3]}, err == nil
}

// IsInbound tells whether a cluster, listener or route configuration is of the inbound side of a sidecar. The logs of proxies that
// istiod configures have the cluster for other ports by IP family, InboundPassthroughClusterIpv4.
func IsInbound(name string) bool {
	return name == VirtualInbound || strings.HasPrefix(name, "inbound|") || strings.HasPrefix(name, InboundPassthroughCluster)
}

// IsOutbound tells whether a cluster is of a service port.
func IsOutbound(cluster string) bool {
	c, ok := ParseCluster(cluster)
	return ok && !c.Inbound
}

// ParseServerName reads an SNI in the form of ServerName.
func ParseServerName(sni string) (Cluster, bool) {
	if parts := strings.SplitN(sni, "_.", 4); len(parts) == 4 && IsServerName(sni) {
		return ParseCluster(strings.Join(parts, "|"))
	}
	return Cluster{}, false
}

// IsServerName tells whether an SNI is in the form of ServerName.
func IsServerName(sni string) bool { return strings.HasPrefix(sni, "outbound_.") }

// AnySubset is a server name in the form of ServerName without the subset.
func AnySubset(sni string) string {
	part := strings.SplitN(sni, "_.", 4)
	if len(part) != 4 || !IsServerName(sni) {
		return sni
	}
	return strings.Join([]string{part[0], part[1], "", part[3]}, "_.")
}

// Listener names a listener on an address and port: 0.0.0.0_9080. The chains of an inbound port are called so, too.
func Listener(bind string, port uint32) string { return bind + "_" + itoa(port) }

// ListenerPort reads the port in such a name.
func ListenerPort(name string) (uint32, bool) {
	i := strings.LastIndexByte(name, '_')
	if i < 0 {
		return 0, false
	}
	return number(name[i+1:])
}

// Class is the id of a class of proxies: kind/namespace/workload, and @cluster where the mesh has several.
func Class(gateway bool, namespace, workload, cluster string) string {
	id := "sidecar/"
	if gateway {
		id = "router/"
	}
	id += namespace + "/" + workload
	if cluster != "" {
		id += "@" + cluster
	}
	return id
}

// ClassProxies is the id of a class without its kind: what people call its proxies.
func ClassProxies(id string) string {
	if _, rest, ok := strings.Cut(id, "/"); ok {
		return rest
	}
	return id
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func number(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint32(n), err == nil
}
