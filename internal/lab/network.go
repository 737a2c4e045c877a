//go:build linux

package lab

import (
	"fmt"
	"net/netip"

	redirect "github.com/meshc/meshc/internal/intercept"
)

// ProxyUID is the user that sidecars run as; its connections are not redirected.
const ProxyUID = redirect.ProxyUID

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

// intercept installs in a namespace the rules that injection installs in a pod.
func intercept(ns *namespace) error {
	return ns.feed(redirect.Default().IPTables(false, ""), "iptables-restore", "--noflush")
}

// allowLowPorts lets a gateway that is not root listen on port 80.
func allowLowPorts(ns *namespace) error {
	return ns.do(func() error { return writeSysctl("net/ipv4/ip_unprivileged_port_start", "0") })
}
