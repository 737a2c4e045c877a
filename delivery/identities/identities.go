// Package identities lists who the workloads of a bundle are, as registration entries of SPIRE. It takes the accounts of all
// workloads that have a proxy, each once, and says for each how an agent knows its processes: a pod by its namespace and service
// account, a virtual machine as whoever registers it says, since no bundle knows what an agent there looks at.
package identities

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler/bundle"
)

// Options say how agents know workloads.
type Options struct {
	Parent     string   // SPIFFE ID of the agents on the nodes of Kubernetes
	Server     string   // NAMESPACE/ACCOUNT of meshc itself, which shows proxies an identity; "": it is not listed
	VMParent   string   // SPIFFE ID of the agents on virtual machines; "": they are not listed
	VMSelector []string // TYPE:VALUE of the proxy's process on one
}

// Entry is a registration entry: processes with all of these selectors, below this parent, have this SPIFFE ID.
type Entry struct {
	ID        string     `json:"spiffe_id"`
	Parent    string     `json:"parent_id"`
	Selectors []Selector `json:"selectors"`

	name string // of an object that holds it
}

// Selector is something that an agent knows of a process.
type Selector struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// account is a service account, of pods or of virtual machines.
type account struct {
	namespace, name string
	vm              bool
}

// Of lists the entries of a bundle, sorted by SPIFFE ID. left are the accounts of virtual machines that have none, since the
// options do not say how an agent knows them.
func Of(b *bundle.Bundle, o Options) (entries []Entry, left []string, err error) {
	root := "spiffe://" + b.TrustDomain + "/"
	for flag, id := range map[string]string{"parent": o.Parent, "vm-parent": o.VMParent} {
		if read, err := spiffeid.FromString(id); id != "" && (err != nil || !strings.HasPrefix(id, root) || read.Path() == "") {
			return nil, nil, fmt.Errorf("--%s %s is no SPIFFE ID of the bundle's trust domain: %s…", flag, id, root)
		}
	}
	machine, err := selectors(o.VMSelector)
	if err != nil {
		return nil, nil, err
	}
	seen := map[account]bool{}
	if o.Server != "" {
		namespace, name, ok := strings.Cut(o.Server, "/")
		if !ok || namespace == "" || name == "" {
			return nil, nil, fmt.Errorf("%q is not NAMESPACE/ACCOUNT", o.Server)
		}
		seen[account{namespace, name, false}] = true
	}
	for _, w := range b.Workloads {
		if w.Proxy {
			seen[account{w.Namespace, cmp.Or(w.ServiceAccount, "default"), w.Kind == "WorkloadEntry" || w.Kind == "WorkloadGroup"}] = true
		}
	}
	for a := range seen {
		if a.vm && (o.VMParent == "" || len(machine) == 0) {
			left = append(left, a.namespace+"/"+a.name)
			continue
		}
		e, err := a.entry(root, o, machine)
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, e)
	}
	slices.Sort(left)
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.name, b.name)) })
	return entries, left, nil
}

// entry is that of an account, below the root of the trust domain; machine is how an agent knows a proxy on a virtual machine.
func (a account) entry(root string, o Options, machine []Selector) (Entry, error) {
	e := Entry{ID: root + "ns/" + a.namespace + "/sa/" + a.name, Parent: o.Parent, name: "meshc." + a.namespace + "." + a.name,
		Selectors: []Selector{{"k8s", "ns:" + a.namespace}, {"k8s", "sa:" + a.name}}}
	if _, err := spiffeid.FromString(e.ID); err != nil || strings.ContainsRune(a.name, '/') {
		return Entry{}, fmt.Errorf("%q in namespace %s is no service account that could have a SPIFFE ID: write the name of a ServiceAccount, or default", a.name, a.namespace)
	}
	if a.vm {
		e.Parent, e.Selectors, e.name = o.VMParent, machine, e.name+".vm"
	}
	if len(e.name) > 253 {
		return Entry{}, fmt.Errorf("the service account %s/%s has too long a name for an object of its own: use the form json", a.namespace, a.name)
	}
	return e, nil
}

func selectors(list []string) (out []Selector, err error) {
	for _, s := range list {
		kind, value, ok := strings.Cut(s, ":")
		if !ok || kind == "" || value == "" {
			return nil, fmt.Errorf("the selector %q is not TYPE:VALUE, such as unix:user:envoy", s)
		}
		out = append(out, Selector{kind, value})
	}
	return out, nil
}

// JSON is the file that spire-server entry create -data takes.
func JSON(entries []Entry) ([]byte, error) {
	text, err := json.MarshalIndent(map[string]any{"entries": append([]Entry{}, entries...)}, "", "  ")
	return append(text, '\n'), err
}

// Objects are the same as ClusterStaticEntries, which SPIRE's controller manager keeps registered.
func Objects(entries []Entry) ([]byte, error) {
	var out bytes.Buffer
	for i, e := range entries {
		var known []string
		for _, s := range e.Selectors {
			known = append(known, s.Type+":"+s.Value)
		}
		text, err := yaml.Marshal(map[string]any{"apiVersion": "spire.spiffe.io/v1alpha1", "kind": "ClusterStaticEntry", "metadata": map[string]any{"name": e.name},
			"spec": map[string]any{"spiffeID": e.ID, "parentID": e.Parent, "selectors": known}})
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}
