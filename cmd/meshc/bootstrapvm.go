package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meshc/meshc/compiler/bundle"
	resources "github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/delivery/machine"
	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/intercept"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// vmFlags are those of a bootstrap that is packed for a virtual machine.
type vmFlags struct {
	on      bool
	envoy   string
	hosts   []string
	group   string // file with a WorkloadGroup
	traffic map[string]*string
	flags   *pflag.FlagSet
}

// sshPort is that by which people reach a machine, also when its proxy is gone.
const sshPort = "22"

func (v *vmFlags) add(p *pflag.FlagSet) {
	v.flags, v.traffic = p, map[string]*string{}
	p.BoolVar(&v.on, "vm", false, "write an archive for a virtual machine: bootstrap, rules of interception, units of systemd, what is left to do")
	p.StringVar(&v.envoy, "vm-envoy", "", "path of Envoy on the machine (default \"/usr/local/bin/envoy\")")
	p.StringArrayVar(&v.hosts, "vm-host", nil, "NAME=ADDRESS that the machine has to know before the proxy is there, such as the ADS server; may be repeated")
	p.StringVar(&v.group, "vm-group", "", "file with the WorkloadGroup: the proxy answers for its probe at port 15020, /app-health/NAME/readyz")
	for _, o := range intercept.Options {
		standard := o.Text(intercept.Default())
		if o.Flag == "exclude-inbound-ports" {
			standard = sshPort
		}
		v.traffic[o.Flag] = p.String("vm-"+o.Flag, standard, o.Usage)
	}
}

// alone says which flag is of no use without --vm, "" if none is given.
func (v *vmFlags) alone() (name string) {
	v.flags.Visit(func(f *pflag.Flag) {
		if !v.on && strings.HasPrefix(f.Name, "vm-") {
			name = f.Name
		}
	})
	return name
}

// probes adds the probe of the WorkloadGroup to those that the proxy answers for.
func (v *vmFlags) probes(to bootstrap.Probes, namespace, workload string) (bootstrap.Probes, error) {
	if v.group == "" {
		return to, nil
	}
	text, err := regular.ReadFile(v.group, limit.FileBytes)
	if err != nil {
		return nil, fmt.Errorf("--vm-group: %w", err)
	}
	if to, err = to.WithGroup(text, namespace, workload); err != nil {
		return nil, fmt.Errorf("--vm-group %s: %w", v.group, err)
	}
	return to, nil
}

// pack makes the archive. Look-ups of names go to a proxy that answers them, by its class in the bundle.
func (f *bootstrapFlags) pack(boot []byte, class *bundle.Class) ([]byte, error) {
	o := machine.Options{Bootstrap: boot, Interception: intercept.Default(), Gateway: f.Gateway, Envoy: f.vm.envoy, Admin: f.admin()}
	for _, s := range intercept.Options {
		if err := s.Set(&o.Interception, *f.vm.traffic[s.Flag]); err != nil {
			return nil, fmt.Errorf("--vm-%s: %w", s.Flag, err)
		}
	}
	o.Interception.DNS = answersNames(class)
	for _, h := range f.vm.hosts {
		name, address, _ := strings.Cut(h, "=")
		a, err := netip.ParseAddr(address)
		if err != nil || a.Zone() != "" || len(validation.IsDNS1123Subdomain(name)) > 0 {
			return nil, fmt.Errorf("--vm-host %q: write NAME=ADDRESS, as in meshc.istio-system.svc=10.0.0.5", h)
		}
		o.Hosts = append(o.Hosts, machine.Host{Name: name, Address: a})
	}
	if f.TLS != nil {
		o.Identity = machine.Identity{SPIFFE: fmt.Sprintf("spiffe://TRUST-DOMAIN/ns/%s/sa/%s", f.Namespace, serviceAccount(f.ServiceAccount)), Socket: f.AgentSocket, Cert: f.cert, Key: f.key, RootsAt: f.roots}
	}
	var out bytes.Buffer
	err := machine.Write(&out, o)
	return out.Bytes(), err
}

// serviceAccount is that of a node, which is default where none is named.
func serviceAccount(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

// admin is where Envoy's admin interface is.
func (f *bootstrapFlags) admin() string {
	if f.AdminAddress == "" {
		return fmt.Sprintf("127.0.0.1:%d", bootstrap.AdminPort)
	}
	return f.AdminAddress
}

// answersNames tells whether proxies of a class answer look-ups of names; nil: nobody knows.
func answersNames(c *bundle.Class) bool {
	if c == nil {
		return false
	}
	return slices.ContainsFunc(c.Sets, func(s *bundle.Set) bool {
		return slices.ContainsFunc(s.Resources, func(r *bundle.Resource) bool { return r.Type == bundle.ListenerType && r.Name == resources.DNSListener })
	})
}
