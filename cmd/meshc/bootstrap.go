package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/internal/statistics"
)

// Where a proxy gets its certificate from, for --identity.
const (
	identityNone   = "none"
	identityServer = "server"
	identityFiles  = "files"
	identityAgent  = "spire"
)

// bootstrapFlags are the flags of meshc bootstrap.
type bootstrapFlags struct {
	bootstrap.Options
	workload, output, identity, locality string
	podInfo, probes, override            string
	ips, labels, metadata                []string
	cert, key, roots                     string
	serverName, serverSPIFFE             string
	plaintext                            bool
	vm                                   vmFlags
}

func newBootstrap(a *app) *cobra.Command {
	f := &bootstrapFlags{}
	c := &cobra.Command{
		Use:   "bootstrap [BUNDLE]",
		Short: "Write the file that Envoy starts with",
		Long: `bootstrap writes what a stock Envoy needs to know before it can ask for anything: who it is, where the ADS server is and
how to prove the one to the other. Start the proxy with envoy --config-path FILE.

With a BUNDLE, --workload NAMESPACE/NAME fills in labels, service account, addresses and locality of a workload that the
bundle knows, and the node is held against the bundle's classes: the server would refuse one that has none.

--identity says where the proxy's certificate comes from:
  none    nowhere; the ADS server has to be on the loopback interface
  server  the server hands it out by SDS (serve --secrets); --cert, --key and --roots are for the connection to the server
  files   --cert, --key and --roots are the identity for everything; rotate them by renaming the folder or a link to it
  spire   from SPIRE's agent at --agent-socket, for everything; the mesh has to be compiled with
          defaultConfig.proxyMetadata.MESHC_IDENTITY: spire in MeshConfig

--vm packs it for a virtual machine, with the rules of interception, units of systemd and a page that says what is left to do:
unpack it at the root of the machine. The port of SSH stays as it is, and look-ups of names go to a proxy that answers them.`,
		Example: `  meshc bootstrap mesh.tar.gz --workload shop/ledger --ip 10.2.0.4 --xds meshc.istio-system.svc:18000 --vm-host meshc.istio-system.svc=10.0.0.5 \
    --identity spire --server-spiffe spiffe://cluster.local/ns/istio-system/sa/meshc --vm --vm-group ledger.yaml -o ledger.tar.gz
  meshc bootstrap mesh.tar.gz --workload shop/reviews --name reviews-0 --ip 10.0.0.7 \
    --xds meshc.istio-system:18000 --identity spire --server-spiffe spiffe://cluster.local/ns/istio-system/sa/meshc`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c.Context(), a, args) },
	}
	p := c.Flags()
	f.proxyFlags(p)
	p.StringVar(&f.XDSAddress, "xds", "127.0.0.1:18000", "HOST:PORT of the ADS server")
	p.BoolVar(&f.StateOfTheWorld, "state-of-the-world", false, "ask for whole sets of resources, not for deltas")
	p.StringVar(&f.identity, "identity", "", "none, server, files or spire (default: none for a server on loopback)")
	p.StringVar(&f.serverSPIFFE, "server-spiffe", "", "SPIFFE ID that the ADS server has to show")
	p.StringVar(&f.serverName, "server-name", "", "DNS name that the ADS server has to show (default: host of --xds)")
	p.BoolVar(&f.plaintext, "insecure-plaintext-to-any-server", false, "ask a server beyond loopback for configuration without TLS")
	p.StringVarP(&f.output, "output", "o", "", "file to write (default: standard output)")
	p.StringVar(&f.override, "override", "", "part of a bootstrap, JSON or YAML, that is laid over it as Envoy does with --config-yaml")
	f.vm.add(p)
	return c
}

// proxyFlags are those that say who a proxy is, and where it has its certificate.
func (f *bootstrapFlags) proxyFlags(p *pflag.FlagSet) {
	p.StringVar(&f.workload, "workload", "", "NAMESPACE/NAME of a workload in the bundle")
	p.StringVar(&f.podInfo, "pod-info", "", "folder with files labels and annotations, a volume of the downward API: those of the pod")
	p.StringVar(&f.Workload, "workload-name", "", "name of the Deployment or the like that the pod is of (default: --name)")
	p.StringVar(&f.probes, "probes", "", "probes of the application that the proxy answers for at port 15020, as injection writes them: JSON, by path")
	p.BoolVar(&f.Gateway, "gateway", false, "a gateway (router), not a sidecar")
	p.StringVar(&f.Name, "name", "", "name of the pod or host (default: that of the workload)")
	p.StringVarP(&f.Namespace, "namespace", "n", "", "namespace of the workload")
	p.StringSliceVar(&f.ips, "ip", nil, "address of the workload; may be repeated")
	p.StringSliceVar(&f.labels, "label", nil, "KEY=VALUE of the pod; may be repeated")
	p.StringVar(&f.ServiceAccount, "service-account", "", "service account (default \"default\")")
	p.StringVar(&f.locality, "locality", "", "REGION/ZONE/SUBZONE")
	p.StringVar(&f.Network, "network", "", "network of the mesh that the workload is in")
	p.StringVar(&f.ClusterID, "cluster", "", "cluster of the mesh that the workload is in (default \"Kubernetes\")")
	p.StringVar(&f.Domain, "domain", "", "DNS domain of the cluster (default \"cluster.local\")")
	p.StringSliceVar(&f.metadata, "metadata", nil, "KEY=VALUE of node metadata, such as DNS_CAPTURE=true; may be repeated")
	p.StringVar(&f.cert, "cert", "", "certificate chain of the proxy")
	p.StringVar(&f.key, "key", "", "its private key")
	p.StringVar(&f.roots, "roots", "", "certificates of the CAs that the proxy trusts")
	p.StringVar(&f.AgentSocket, "agent-socket", "/run/spire/agent-sockets/spire-agent.sock", "socket of SPIRE's agent")
	p.StringVar(&f.AdminAddress, "admin-address", "", "address of Envoy's admin interface (default 127.0.0.1:15000)")
	for _, o := range statistics.Options {
		p.Func(o.Flag, o.Help, func(text string) error { return o.Set(&f.Statistics, text) })
	}
	p.Lookup("all-statistics").NoOptDefVal = "true"
	p.BoolVar(&f.NoServing, "no-status-ports", false, "leave out the listeners for health (15021) and metrics (15090)")
}

func (f *bootstrapFlags) run(ctx context.Context, a *app, args []string) error {
	var b *bundle.Bundle
	if len(args) == 1 {
		var err error
		if b, err = a.readBundle(ctx, args[0]); err != nil {
			return err
		}
	}
	if name := f.vm.alone(); name != "" {
		return fmt.Errorf("--%s is for an archive: give --vm, too", name)
	}
	if err := f.fill(b); err != nil {
		return err
	}
	if err := f.secure(); err != nil {
		return err
	}
	var class *bundle.Class
	if b != nil {
		var err error
		if class, _, err = f.class(b); err != nil {
			return err
		}
		a.note("class %s of bundle %s", class.ID, b.Digest)
	}
	boot, err := bootstrap.New(f.Options)
	if err != nil {
		return err
	}
	if err := f.overridden(boot); err != nil {
		return err
	}
	text, err := bootstrap.JSON(boot)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if f.vm.on {
		if text, err = f.pack(text, class); err != nil {
			return err
		}
	}
	if f.output == "" || f.output == "-" {
		if !f.vm.on {
			_, err = a.stdout.Write(text)
			return err
		}
		out, err := a.stdout.Direct() // an archive is no text
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	}
	return a.end.write(ctx, func() error { return bundle.ReplaceFile(f.output, text) })
}

// overridden lays over a bootstrap what --override has.
func (f *bootstrapFlags) overridden(b *bootstrapv3.Bootstrap) error {
	if f.override == "" {
		return nil
	}
	text, err := regular.ReadFile(f.override, limit.FileBytes)
	if err != nil {
		return fmt.Errorf("--override: %w", err)
	}
	if err := bootstrap.Override(b, text); err != nil {
		return fmt.Errorf("--override %s: %w", f.override, err)
	}
	return nil
}

// fill takes over what the bundle says about the workload, under what the flags say.
func (f *bootstrapFlags) fill(b *bundle.Bundle) error {
	var err error
	if f.Labels, err = pairs("label", f.labels); err != nil {
		return err
	}
	if f.Metadata, err = pairs("metadata", f.metadata); err != nil {
		return err
	}
	if err := f.ofPod(); err != nil {
		return err
	}
	for _, ip := range f.ips {
		a, err := netip.ParseAddr(ip)
		if err != nil {
			return fmt.Errorf("--ip: %w", err)
		}
		f.Addresses = append(f.Addresses, a)
	}
	if f.workload != "" {
		if err := f.fromBundle(b); err != nil {
			return err
		}
	}
	f.Region, f.locality, _ = strings.Cut(f.locality, "/")
	f.Zone, f.SubZone, _ = strings.Cut(f.locality, "/")
	switch {
	case f.Namespace == "":
		return errors.New("--namespace is missing, or --workload and a bundle")
	case f.Name == "":
		return errors.New("--name is missing, or --workload and a bundle")
	case len(f.Addresses) == 0:
		return errors.New("--ip is missing: the address at which the workload is called")
	}
	return nil
}

// ofPod reads what the pod says of itself, under what the flags say.
func (f *bootstrapFlags) ofPod() (err error) {
	if f.probes != "" {
		if f.Probes, err = bootstrap.ParseProbes(f.probes); err != nil {
			return err
		}
	}
	if f.Probes, err = f.vm.probes(f.Probes, f.Namespace, f.workload); err != nil {
		return err
	}
	if f.podInfo == "" {
		return nil
	}
	labels, annotations, err := bootstrap.ReadPodInfo(f.podInfo)
	if err != nil {
		return fmt.Errorf("--pod-info: %w", err)
	}
	maps.Copy(labels, f.Labels)
	f.Labels, f.Annotations = labels, annotations
	network, cluster, locality := (&endpoint.Site{}).Place(labels)
	f.Network, f.ClusterID, f.locality = cmp.Or(f.Network, network), cmp.Or(f.ClusterID, cluster), cmp.Or(f.locality, locality)
	return nil
}

func (f *bootstrapFlags) fromBundle(b *bundle.Bundle) error {
	namespace, name, ok := strings.Cut(f.workload, "/")
	if b == nil || !ok {
		return errors.New("--workload takes NAMESPACE/NAME and goes with a bundle, as in: meshc bootstrap BUNDLE --workload shop/reviews")
	}
	at := -1
	for i, w := range b.Workloads {
		if w.Namespace == namespace && w.Name == name && (at < 0 || w.Kind != "Pod") {
			at = i
		}
	}
	if at < 0 {
		return fmt.Errorf("the bundle knows no workload %s; meshc bundle inspect lists those it knows", f.workload)
	}
	w := b.Workloads[at]
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&f.Namespace, w.Namespace)
	def(&f.Name, w.Name)
	def(&f.Workload, w.Name)
	def(&f.ServiceAccount, w.ServiceAccount)
	def(&f.locality, w.Locality)
	def(&f.Network, w.Network)
	def(&f.ClusterID, w.Cluster)
	for k, v := range w.Labels {
		if _, set := f.Labels[k]; !set {
			f.Labels[k] = v
		}
	}
	if len(f.Addresses) == 0 {
		for _, s := range w.Addresses {
			if a, err := netip.ParseAddr(s); err == nil {
				f.Addresses = append(f.Addresses, a)
			}
		}
	}
	for _, c := range b.Classes {
		f.Gateway = f.Gateway || c.ID == w.Class && c.Gateway
	}
	return nil
}

// class finds the class of the node, as the server will.
func (f *bootstrapFlags) class(b *bundle.Bundle) (*bundle.Class, bundle.Node, error) {
	n, err := bootstrap.Node(f.Options)
	if err != nil {
		return nil, bundle.Node{}, err
	}
	node, err := bundle.NodeFromProto(n)
	if err != nil {
		return nil, node, err
	}
	c, err := b.ClassOf(node)
	return c, node, err
}

// secure resolves how the proxy proves who it is.
func (f *bootstrapFlags) secure() error {
	host, _, err := net.SplitHostPort(f.XDSAddress)
	if err != nil {
		return fmt.Errorf("--xds: %w", err)
	}
	ip, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && ip.IsLoopback()
	if f.identity == "" {
		switch {
		case f.cert != "" || f.key != "" || f.roots != "":
			return errors.New("--identity is missing: files, if certificate and key are the workload's, or server, if they are for the connection to the server only")
		case !local && !f.plaintext:
			return fmt.Errorf("the server at %s is not on the loopback interface, so it wants a certificate: give --identity (files, server or spire), or --insecure-plaintext-to-any-server if the network itself is trusted", f.XDSAddress)
		}
		f.identity = identityNone
	}
	if f.identity == identityNone {
		f.AgentSocket = ""
		if !local && !f.plaintext {
			return fmt.Errorf("--identity none is for a server on the loopback interface, and %s is not", f.XDSAddress)
		}
		return nil
	}
	if err := f.keysFrom(); err != nil {
		return err
	}
	f.TLS = &bootstrap.TLS{CertificateFile: f.cert, KeyFile: f.key, RootsFile: f.roots, ServerName: f.serverName, ServerSPIFFE: f.serverSPIFFE}
	f.sayFiles()
	return nil
}

// sayFiles has the node say in which files its identity is.
func (f *bootstrapFlags) sayFiles() {
	if f.identity == identityFiles {
		f.Metadata["TLS_CLIENT_CERT_CHAIN"], f.Metadata["TLS_CLIENT_KEY"], f.Metadata["TLS_CLIENT_ROOT_CERT"] = f.cert, f.key, f.roots
	}
}

// keysFrom checks that the flags name what the identity needs, and nothing else.
func (f *bootstrapFlags) keysFrom() error {
	socket := f.AgentSocket
	f.AgentSocket = ""
	switch f.identity {
	case identityFiles, identityServer:
		for _, p := range []string{f.cert, f.key, f.roots} {
			if !filepath.IsAbs(p) {
				return fmt.Errorf("--identity %s needs --cert, --key and --roots, absolute paths on the host of the proxy", f.identity)
			}
		}
	case identityAgent:
		if f.cert != "" || f.key != "" || f.roots != "" {
			return errors.New("--identity spire takes certificate, key and roots from the agent: leave out --cert, --key and --roots")
		}
		if !filepath.IsAbs(socket) {
			return errors.New("--agent-socket is not an absolute path")
		}
		f.AgentSocket = socket
	default:
		return fmt.Errorf("--identity %q is none of none, server, files and spire", f.identity)
	}
	return nil
}

func pairs(flag string, list []string) (map[string]string, error) {
	m := map[string]string{}
	for _, p := range list {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("--%s: %q is not KEY=VALUE", flag, p)
		}
		m[k] = v
	}
	return m, nil
}
