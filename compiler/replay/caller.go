package replay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

// directory finds workloads of base by what logs say of them.
type directory struct {
	b         *bundle.Bundle
	byAddress map[netip.Addr]*bundle.Workload
	byPod     map[string]*bundle.Workload // name of a pod, or of what made it
	gateways  map[string]bool             // ids of classes
	services  map[string][]string         // hosts by their first label
	wildcards []string
}

func newDirectory(b *bundle.Bundle) *directory {
	d := &directory{b: b, byAddress: map[netip.Addr]*bundle.Workload{}, byPod: map[string]*bundle.Workload{}, gateways: map[string]bool{}, services: map[string][]string{}}
	for _, c := range b.Classes {
		d.gateways[c.ID] = c.Gateway
	}
	twice := map[string]bool{}
	for i := range b.Workloads {
		w := &b.Workloads[i]
		for _, a := range w.Addresses {
			if ip, err := netip.ParseAddr(a); err == nil {
				d.byAddress[ip.Unmap()] = w
			}
		}
		if had := d.byPod[w.Name]; had != nil && (had.Namespace != w.Namespace || had.Class != w.Class) {
			twice[w.Name] = true
		}
		d.byPod[w.Name] = w
	}
	for name := range twice {
		delete(d.byPod, name)
	}
	for _, s := range b.Services {
		if rest, ok := strings.CutPrefix(s.Hostname, "*"); ok {
			d.wildcards = append(d.wildcards, rest)
			continue
		}
		label, _, _ := strings.Cut(s.Hostname, ".")
		d.services[label] = append(d.services[label], s.Hostname)
	}
	return d
}

// podSuffix is what a Deployment (hash of its ReplicaSet and a random part), a DaemonSet or a StatefulSet (a number) put behind their name.
var podSuffix = regexp.MustCompile(`(-[0-9a-z]{6,10}-[0-9a-z]{5}|-[0-9a-z]{5}|-[0-9]+)$`)

// pod finds the workload of a pod by its name.
func (d *directory) pod(name string) *bundle.Workload {
	if w := d.byPod[name]; w != nil || name == "" {
		return w
	}
	return d.byPod[podSuffix.ReplaceAllString(name, "")]
}

// known tells whether a host is one of a service, in full or short.
func (d *directory) known(host string) bool {
	label, _, _ := strings.Cut(host, ".")
	for _, s := range d.services[label] {
		if s == host || strings.HasPrefix(s, host+".") {
			return true
		}
	}
	for _, s := range d.wildcards {
		if strings.HasSuffix(host, s) {
			return true
		}
	}
	return false
}

// ReadCallers reads a table of addresses: a line has an IP address and a workload or pod, as NAMESPACE/NAME or as two words.
func ReadCallers(r io.Reader) (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		f := strings.Fields(s.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") || f[0] == "<none>" {
			continue
		}
		a, err := netip.ParseAddr(f[0])
		if err != nil || len(f) < 2 || len(f) > 3 || len(f) == 2 && !strings.Contains(f[1], "/") {
			return nil, fmt.Errorf("line %d: write IP NAMESPACE/NAME or IP NAMESPACE NAME, not %q", n, s.Text())
		}
		out[a.Unmap()] = strings.Join(f[1:], "/")
	}
	return out, s.Err()
}

// addCallers gives addresses to workloads of base. Those of others are left out: they call from outside.
func (d *directory) addCallers(callers map[netip.Addr]string) {
	byName := map[string]*bundle.Workload{}
	for i := range d.b.Workloads {
		w := &d.b.Workloads[i]
		byName[w.Namespace+"/"+w.Name] = w
	}
	for a, name := range callers {
		w := byName[name]
		if w == nil {
			w = byName[podSuffix.ReplaceAllString(name, "")]
		}
		if w != nil {
			d.byAddress[a] = w
		}
	}
}

// Reasons why a line that is read gives no request.
var (
	errCaller = errors.New("the caller's address is of no workload of BASE: name callers by --callers or --from, if this is the log of this mesh")
	errTwice  = errors.New("a server's line about a caller with a proxy, whose own log has the request too: use --server-logs if it has not")
	errTarget = errors.New("neither host nor address says where it went")
)

// sender is who sent a request, as a walk takes it.
type sender struct {
	from    string
	gateway bool
	outside bool
}

// senderOf finds out who sent the request of a line.
func (d *directory) senderOf(e *entry, o Options) (sender, error) {
	if o.From != "" {
		return sender{o.From, strings.HasPrefix(o.From, "gateway "), o.From == "outside"}, nil
	}
	local, remote, wrote := d.byAddress[e.Local.Addr()], d.byAddress[e.Remote.Addr()], d.pod(e.Pod)
	for _, w := range []*bundle.Workload{wrote, local} {
		if w != nil && d.gateways[w.Class] {
			return sender{from: "gateway " + w.Namespace + "/" + w.Name, gateway: true}, nil
		}
	}
	if e.server() || remote == nil && local != nil && !names.IsOutbound(e.Cluster) {
		switch {
		case remote == nil && names.IsServerName(e.ServerName):
			return sender{}, errCaller // a proxy of the mesh
		case remote == nil:
			return sender{from: "outside", outside: true}, nil
		case remote.Proxy && !o.ServerLogs:
			return sender{}, errTwice
		}
		return sender{from: remote.Namespace + "/" + remote.Name}, nil
	}
	if remote == nil {
		remote = wrote
	}
	if remote == nil {
		return sender{}, errCaller
	}
	return sender{from: remote.Namespace + "/" + remote.Name}, nil
}
