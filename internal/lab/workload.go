package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	sigsyaml "sigs.k8s.io/yaml"
)

// Workload is one pod of the repository that the lab runs.
type Workload struct {
	Name           string
	Namespace      string
	Labels         map[string]string
	ServiceAccount string
	Addresses      []netip.Addr
	Sidecar        bool // runs an application behind a redirected proxy
	Gateway        bool // runs only a proxy
	HTTP           []string
	TCP            []string
	TLS            []string
	Calls          string // URLs the application calls on for each request, from its environment variable CALLS
	Certificate    string // folder with tls.crt and tls.key for the TLS ports, from its environment variable CERTIFICATE
	Locality       string // region/zone/subzone, from the label istio-locality
}

// App is the label app, or the workload's name.
func (w *Workload) App() string {
	if a := w.Labels["app"]; a != "" {
		return a
	}
	return w.Name
}

// repository is what the lab must know of a repository: pods, and the virtual IPs behind names.
type repository struct {
	workloads []*Workload
	names     []hostName
}

// hostName is an address behind a name; namespace is empty for names that mean the same everywhere.
type hostName struct {
	name, namespace string
	address         string
}

// readRepository reads a directory of manifests, through kustomize where it holds a kustomization. A pod is one the
// lab runs when its status has an address. The container istio-proxy makes it a member of the mesh; alone, a gateway.
func readRepository(dir string) (*repository, error) {
	text, err := render(dir)
	if err != nil {
		return nil, err
	}
	repo := &repository{}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc map[string]any
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("lab: read %s: %w", dir, err)
		}
		if err := repo.add(doc); err != nil {
			return nil, fmt.Errorf("lab: read %s: %w", dir, err)
		}
	}
	slices.SortFunc(repo.workloads, func(a, b *Workload) int { return strings.Compare(a.Name, b.Name) })
	if len(repo.workloads) == 0 {
		return nil, fmt.Errorf("lab: %s holds no Pod with an address in status.podIP: nothing to run", dir)
	}
	return repo, nil
}

func render(dir string) ([]byte, error) {
	if _, err := os.Stat(filepath.Join(dir, "kustomization.yaml")); err == nil {
		m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
		if err != nil {
			return nil, fmt.Errorf("lab: kustomize %s: %w", dir, err)
		}
		return m.AsYaml()
	}
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".yaml") {
			return err
		}
		b, err := os.ReadFile(p)
		all.WriteString("\n---\n")
		all.Write(b)
		return err
	})
	return all.Bytes(), err
}

func (r *repository) add(doc map[string]any) error {
	kind, _ := doc["kind"].(string)
	if kind != "Pod" && kind != "Service" && kind != "ServiceEntry" {
		return nil
	}
	b, err := sigsyaml.Marshal(doc)
	if err != nil {
		return err
	}
	switch kind {
	case "Pod":
		pod := &corev1.Pod{}
		if err := sigsyaml.Unmarshal(b, pod); err != nil {
			return err
		}
		return r.addPod(pod)
	case "Service":
		s := &corev1.Service{}
		if err := sigsyaml.Unmarshal(b, s); err != nil {
			return err
		}
		r.addService(s)
	case "ServiceEntry":
		r.addServiceEntry(doc)
	}
	return nil
}

func (r *repository) addService(s *corev1.Service) {
	if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
		return
	}
	r.addName(s.Name, namespaceOf(s.Namespace), s.Spec.ClusterIP)
}

func (r *repository) addServiceEntry(doc map[string]any) {
	spec, _ := doc["spec"].(map[string]any)
	hosts, _ := spec["hosts"].([]any)
	addresses, _ := spec["addresses"].([]any)
	if len(addresses) == 0 {
		return
	}
	for _, h := range hosts {
		r.names = append(r.names, hostName{name: fmt.Sprint(h), address: fmt.Sprint(addresses[0])})
	}
}

func (r *repository) addPod(pod *corev1.Pod) error {
	if pod.Status.PodIP == "" {
		return nil
	}
	w := &Workload{Name: pod.Name, Namespace: namespaceOf(pod.Namespace), Labels: pod.Labels, ServiceAccount: pod.Spec.ServiceAccountName, Locality: pod.Labels["istio-locality"]}
	if w.ServiceAccount == "" {
		w.ServiceAccount = "default"
	}
	ips := []string{pod.Status.PodIP}
	for _, ip := range pod.Status.PodIPs {
		if ip.IP != pod.Status.PodIP {
			ips = append(ips, ip.IP)
		}
	}
	for _, ip := range ips {
		a, err := netip.ParseAddr(ip)
		if err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		w.Addresses = append(w.Addresses, a)
	}
	proxy := false
	for _, c := range append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...) {
		if c.Name == "istio-proxy" {
			proxy = true
			continue
		}
		w.addContainer(c)
	}
	apps := len(w.HTTP)+len(w.TCP)+len(w.TLS) > 0
	w.Sidecar, w.Gateway = proxy && apps, proxy && !apps
	r.workloads = append(r.workloads, w)
	if s := pod.Spec; s.Hostname != "" && s.Subdomain != "" {
		r.addName(s.Hostname+"."+s.Subdomain, w.Namespace, pod.Status.PodIP)
	}
	return nil
}

// addName adds an address under a name in a namespace and under the longer forms of it.
func (r *repository) addName(name, namespace, address string) {
	r.names = append(r.names, hostName{name: name, namespace: namespace, address: address})
	for _, suffix := range []string{"", ".svc", ".svc.cluster.local"} {
		r.names = append(r.names, hostName{name: name + "." + namespace + suffix, address: address})
	}
}

// addContainer takes the ports of an application; the port's name says what it speaks, as in a Service.
func (w *Workload) addContainer(c corev1.Container) {
	for _, p := range c.Ports {
		n := strconv.Itoa(int(p.ContainerPort))
		switch kind, _, _ := strings.Cut(p.Name, "-"); kind {
		case "tcp", "mysql", "mongo", "redis":
			w.TCP = append(w.TCP, n)
		case "tls", "https":
			w.TLS = append(w.TLS, n)
		default:
			w.HTTP = append(w.HTTP, n)
		}
	}
	for _, e := range c.Env {
		switch e.Name {
		case "CALLS":
			w.Calls = e.Value
		case "CERTIFICATE":
			w.Certificate = e.Value
		}
	}
}

func namespaceOf(ns string) string {
	if ns == "" {
		return "default"
	}
	return ns
}

// hosts is the name table as a workload of the namespace sees it.
func (r *repository) hosts(namespace string) map[string]string {
	out := map[string]string{}
	for _, n := range r.names {
		if n.namespace == "" || n.namespace == namespace {
			out[n.name] = n.address
		}
	}
	return out
}
