package bootstrap

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// workloadGroup is what a probe is read from.
type workloadGroup struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Probe *Probe
	}
}

// WithGroup adds the probe of a machine's WorkloadGroup, the only one among the objects of a text. The group is that of the proxy: in its
// namespace, and of the name of its workload, where that is given as NAMESPACE/NAME.
func (p Probes) WithGroup(text []byte, namespace, workload string) (Probes, error) {
	group, err := readGroup(text)
	if err != nil {
		return nil, err
	}
	if ns, _, given := strings.Cut(workload, "/"); given {
		namespace = ns
	}
	name, probe := group.Metadata.Name, group.Spec.Probe
	of := cmp.Or(group.Metadata.Namespace, namespace)
	switch {
	case of != namespace:
		return nil, fmt.Errorf("the WorkloadGroup is in the namespace %s, and the proxy in %s", of, namespace)
	case workload != "" && workload != of+"/"+name:
		return nil, fmt.Errorf("the WorkloadGroup is %s/%s, and the workload of the proxy %s", of, name, workload)
	case probe == nil:
		return nil, errors.New("the WorkloadGroup has no probe")
	case probe.Exec != nil:
		return nil, errors.New("the probe runs a program, and Envoy runs none: ask by httpGet, tcpSocket or grpc")
	case probe.HTTPGet != nil && probe.HTTPGet.Host != "", probe.TCPSocket != nil && probe.TCPSocket.Host != "":
		return nil, errors.New("the probe asks another host, and the proxy answers for its own")
	}
	out := Probes{"/app-health/" + name + "/readyz": *probe}
	maps.Copy(out, p)
	return ParseProbes(out.String())
}

// readGroup reads the one WorkloadGroup among the objects of a text.
func readGroup(text []byte) (*workloadGroup, error) {
	var found []*workloadGroup
	for r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		var kind struct{ Kind string }
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			return nil, errors.New("this is no YAML of objects")
		}
		if kind.Kind != "WorkloadGroup" {
			continue
		}
		var group workloadGroup
		if err := yaml.Unmarshal(doc, &group); err != nil {
			return nil, fmt.Errorf("the WorkloadGroup cannot be read: %w", err)
		}
		found = append(found, &group)
	}
	switch {
	case len(found) == 0 || found[0].Metadata.Name == "":
		return nil, errors.New("there is no WorkloadGroup with a name")
	case len(found) > 1:
		return nil, fmt.Errorf("there are %d WorkloadGroups: leave that of this machine", len(found))
	}
	return found[0], nil
}
