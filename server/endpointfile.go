package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/server/watch"
)

// readEndpoints reads a file, or the files of a folder, of EndpointSlices, Pods and Nodes as kubectl writes them: YAML or
// JSON, one after another or in a List. Objects of other kinds are counted. Anything that is not right makes all of it
// wrong, so that half a file takes no endpoints away.
func readEndpoints(path string) (endpointUpdate, error) {
	files, err := endpointFiles(path)
	if err != nil {
		return endpointUpdate{}, err
	}
	g := newEndpointCollector()
	left := int64(limit.EndpointBytes)
	for _, f := range files {
		data, err := readAtMost(f, left)
		if err != nil {
			return endpointUpdate{}, err
		}
		left -= int64(len(data))
		if err := g.read(data); err != nil {
			return endpointUpdate{}, fmt.Errorf("%s: %w", f, err)
		}
	}
	return g.done()
}

// done returns what was gathered, unless there is nothing.
func (g *endpointCollector) done() (endpointUpdate, error) {
	src := &g.t.snapshot.source
	src.Slices, src.Pods = g.t.slices > 0, g.t.pods > 0
	if !src.Slices && !src.Pods {
		return endpointUpdate{}, errEmpty
	}
	return g.t, nil
}

// endpointFiles lists what is to be read: the file, or the files of the folder that look like it.
func endpointFiles(path string) ([]string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		switch ext := filepath.Ext(e.Name()); {
		case strings.HasPrefix(e.Name(), ".") || ext != ".yaml" && ext != ".yml" && ext != ".json":
		case len(out) == limit.EndpointFiles:
			return nil, fmt.Errorf("%s holds more than %d files", path, limit.EndpointFiles)
		default:
			out = append(out, filepath.Join(path, e.Name()))
		}
	}
	return out, nil
}

func readAtMost(path string, left int64) ([]byte, error) {
	data, err := regular.ReadFile(path, left)
	if errors.Is(err, regular.ErrTooLarge) {
		err = fmt.Errorf("%s: more than %d MiB of endpoints", path, limit.EndpointBytes>>20)
	}
	return data, err
}

// fileStamp changes when the files at the path may have.
func fileStamp(path string) string {
	files, err := endpointFiles(path)
	if err != nil {
		return err.Error()
	}
	return watch.Stamps(files...)
}

// read takes in one file.
func (g *endpointCollector) read(data []byte) error {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		d := json.NewDecoder(bytes.NewReader(trimmed))
		for {
			var doc json.RawMessage
			if err := d.Decode(&doc); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := g.object(doc, "", 0); err != nil {
				return err
			}
		}
	}
	docs := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		j, err := yaml.ToJSON(doc)
		if err != nil {
			return err
		}
		if bytes.Equal(bytes.TrimSpace(j), []byte("null")) {
			continue // a document of comments
		}
		if err := g.object(j, "", 0); err != nil {
			return err
		}
	}
}

// object takes in one object, or the items of a list. implied is the kind of the items of a typed list.
func (g *endpointCollector) object(doc []byte, implied string, depth int) error {
	var head struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(doc, &head); err != nil {
		return err
	}
	kind := head.APIVersion + "/" + head.Kind
	if head.Kind == "" {
		kind = implied
	}
	switch {
	case kind == "":
		return errors.New("an object has no kind: the file is not whole, or not one of Kubernetes objects")
	case strings.HasSuffix(head.Kind, "List"):
		if depth == limit.EndpointDepth {
			return fmt.Errorf("lists in lists, more than %d deep", limit.EndpointDepth)
		}
		of := strings.TrimSuffix(kind, "List")
		if head.Kind == "List" {
			of = ""
		}
		for _, item := range head.Items {
			if err := g.object(item, of, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	switch kind {
	case "discovery.k8s.io/v1/EndpointSlice":
		return g.slice(doc)
	case "v1/Pod":
		return g.pod(doc)
	case "v1/Node":
		return g.node(doc)
	}
	g.t.ignored++
	return nil
}

func (g *endpointCollector) slice(doc []byte) error {
	e := &discoveryv1.EndpointSlice{}
	if err := json.Unmarshal(doc, e); err != nil {
		return err
	}
	if err := g.named("EndpointSlice", e.Namespace, e.Name); err != nil {
		return err
	}
	for i := range e.Endpoints {
		for _, a := range e.Endpoints[i].Addresses {
			if _, err := netip.ParseAddr(a); err != nil && e.AddressType != discoveryv1.AddressTypeFQDN {
				return fmt.Errorf("EndpointSlice %s/%s: %q is not an IP address", e.Namespace, e.Name, a)
			}
		}
	}
	for _, p := range e.Ports {
		if p.Port != nil && (*p.Port < 1 || *p.Port > 65535) {
			return fmt.Errorf("EndpointSlice %s/%s: %d is not a port", e.Namespace, e.Name, *p.Port)
		}
	}
	ns := g.t.snapshot.namespaces[e.Namespace]
	ns.Slices = append(ns.Slices, slimSlice(e))
	g.t.snapshot.namespaces[e.Namespace] = ns
	g.t.slices++
	return nil
}

func (g *endpointCollector) pod(doc []byte) error {
	p := &corev1.Pod{}
	if err := json.Unmarshal(doc, p); err != nil {
		return err
	}
	if err := g.named("Pod", p.Namespace, p.Name); err != nil {
		return err
	}
	for _, a := range endpoint.PodAddresses(p) {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("the Pod %s/%s: %q is not an IP address", p.Namespace, p.Name, a)
		}
	}
	ns := g.t.snapshot.namespaces[p.Namespace]
	ns.Pods = append(ns.Pods, slimPod(p))
	g.t.snapshot.namespaces[p.Namespace] = ns
	g.t.pods++
	return nil
}

func (g *endpointCollector) node(doc []byte) error {
	n := &corev1.Node{}
	if err := json.Unmarshal(doc, n); err != nil {
		return err
	}
	if err := g.once("Node", "", n.Name); err != nil {
		return err
	}
	g.t.snapshot.source.Nodes[n.Name] = endpoint.NodeLocality(n.Labels)
	return nil
}

func (g *endpointCollector) named(kind, namespace, name string) error {
	if namespace == "" || name == "" {
		return fmt.Errorf("%s %q has no name or no namespace", kind, namespace+"/"+name)
	}
	return g.once(kind, namespace, name)
}
