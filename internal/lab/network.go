//go:build linux

package lab

import (
	"fmt"
	"net/netip"
)

// ProxyUID is the user that sidecars run as; its connections are not redirected.
const ProxyUID = 1337

// AppUID is the user that applications run as.
const AppUID = 2000

// network joins the namespaces of a lab by a bridge in a namespace of its own, so nothing appears on the host.
type network struct {
	hub   *namespace
	ports int
}

func newNetwork() (*network, error) {
	hub, err := newNamespace("hub")
	if err != nil {
		return nil, err
	}
	n := &network{hub: hub}
	for _, argv := range [][]string{
		{"ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0"},
		{"ip", "link", "set", "br0", "up"},
	} {
		if err := hub.run(argv...); err != nil {
			hub.close()
			return nil, err
		}
	}
	return n, nil
}

// attach makes a namespace with eth0 on the bridge. Every address is on link there, so pods and hosts outside the mesh
// need no plan of subnets, and the virtual IPs of services belong to nobody: only a proxy can answer for them.
func (n *network) attach(name string, addresses []netip.Addr) (*namespace, error) {
	ns, err := newNamespace(name)
	if err != nil {
		return nil, err
	}
	n.ports++
	peer := fmt.Sprintf("p%d", n.ports)
	steps := [][]string{
		{"ip", "link", "add", "eth0", "type", "veth", "peer", "name", peer, "netns", n.hub.path},
		{"ip", "link", "set", "eth0", "up"},
	}
	for _, a := range addresses {
		if a.Is4() {
			steps = append(steps, []string{"ip", "addr", "add", a.String() + "/32", "dev", "eth0"})
		} else {
			steps = append(steps, []string{"ip", "addr", "add", a.String() + "/128", "dev", "eth0", "nodad"})
		}
	}
	steps = append(steps, []string{"ip", "route", "add", "default", "dev", "eth0"})
	for _, argv := range steps {
		if err := ns.run(argv...); err != nil {
			ns.close()
			return nil, err
		}
	}
	for _, argv := range [][]string{
		{"ip", "link", "set", peer, "master", "br0"},
		{"ip", "link", "set", peer, "up"},
	} {
		if err := n.hub.run(argv...); err != nil {
			ns.close()
			return nil, err
		}
	}
	return ns, nil
}

// redirectRules are the nat rules that injection installs in a pod: what arrives goes to 15006, what the application
// sends goes to 15001, the proxy's own connections pass. 127.0.0.6 marks connections of the inbound listener to the
// application at the pod's own address.
const redirectRules = `*nat
:MESH_INBOUND - [0:0]
:MESH_IN_REDIRECT - [0:0]
:MESH_OUTPUT - [0:0]
:MESH_REDIRECT - [0:0]
-A MESH_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A MESH_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j MESH_INBOUND
-A MESH_INBOUND -p tcp --dport 15020 -j RETURN
-A MESH_INBOUND -p tcp --dport 15021 -j RETURN
-A MESH_INBOUND -p tcp --dport 15090 -j RETURN
-A MESH_INBOUND -p tcp -j MESH_IN_REDIRECT
-A OUTPUT -p tcp -j MESH_OUTPUT
-A MESH_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A MESH_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -j MESH_IN_REDIRECT
-A MESH_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A MESH_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A MESH_OUTPUT -d 127.0.0.1/32 -j RETURN
-A MESH_OUTPUT -j MESH_REDIRECT
COMMIT
`

// intercept installs the redirect rules in a namespace.
func intercept(ns *namespace) error {
	return ns.feed(redirectRules, "iptables-restore")
}

// allowLowPorts lets a gateway that is not root listen on port 80.
func allowLowPorts(ns *namespace) error {
	return ns.do(func() error { return writeSysctl("net/ipv4/ip_unprivileged_port_start", "0") })
}
