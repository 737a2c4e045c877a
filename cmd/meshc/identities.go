package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/delivery/identities"
)

func newIdentities(a *app) *cobra.Command {
	var in input
	var o identities.Options
	var output string
	var withoutVMs bool
	c := &cobra.Command{
		Use:   "identities SOURCE...|BUNDLE --parent SPIFFE-ID",
		Short: "Print who the workloads are, as registration entries of SPIRE",
		Long: `identities compiles the sources, or reads a bundle, and prints one registration entry of SPIRE for each service account
that a workload with a proxy runs as, and one for the server itself. A pod is known by its namespace and service account. --parent
is the SPIFFE ID that the agents of the nodes have, or a node alias of theirs.

What an agent on a virtual machine knows of a proxy no bundle tells: --vm-parent and --vm-selector do, and without them accounts of
WorkloadEntries and WorkloadGroups are an error, unless --without-vms leaves them out.`,
		Example: `  meshc identities mesh.tar.gz --parent spiffe://cluster.local/k8s-nodes > entries.json && spire-server entry create -data entries.json
  meshc identities mesh/ --parent spiffe://cluster.local/k8s-nodes -o yaml | kubectl apply -f -
  meshc identities mesh/ --parent spiffe://cluster.local/k8s-nodes --vm-parent spiffe://cluster.local/vms --vm-selector unix:user:envoy`,
		Args: in.sources,
		RunE: func(c *cobra.Command, args []string) error {
			if o.Parent == "" {
				return errors.New("whose workloads are these? say --parent with the SPIFFE ID of the agents on the nodes, or of a node alias")
			}
			b, err := a.bundleOf(c.Context(), &in, args)
			if err != nil {
				return err
			}
			list, left, err := identities.Of(b, o)
			if err != nil {
				return err
			}
			if len(left) > 0 && !withoutVMs {
				return fmt.Errorf("%s: these accounts are of virtual machines, and the bundle does not say how an agent knows a proxy there: say --vm-parent and --vm-selector, or --without-vms", strings.Join(left, ", "))
			}
			write := identities.JSON
			switch output {
			case "json":
			case "yaml":
				write = identities.Objects
			default:
				return fmt.Errorf("there is no format %q: json or yaml", output)
			}
			text, err := write(list)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	in.flags(c)
	f := c.Flags()
	f.StringVarP(&output, "output", "o", "json", "json, the file of spire-server entry create -data, or yaml, ClusterStaticEntries of its controller manager")
	f.StringVar(&o.Parent, "parent", "", "SPIFFE ID of the agents on the nodes of Kubernetes")
	f.StringVar(&o.Server, "server", "istio-system/meshc", "NAMESPACE/ACCOUNT that the server runs as; empty for no entry")
	f.StringVar(&o.VMParent, "vm-parent", "", "SPIFFE ID of the agents on virtual machines")
	f.StringSliceVar(&o.VMSelector, "vm-selector", nil, "TYPE:VALUE by which an agent on a virtual machine knows the proxy, such as unix:user:envoy; may be repeated")
	f.BoolVar(&withoutVMs, "without-vms", false, "leave out accounts of virtual machines")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}
