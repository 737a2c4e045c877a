// Package cluster keeps what a Kubernetes cluster has of what the compiler reads with --observed: Namespaces, Nodes, Services,
// EndpointSlices and Pods.
//
// Each kind is listed and then followed. Objects are kept as slim as the compiler needs them, without what changes all the time
// and without what may be secret, so that equal objects are equal bytes. What was heard last stays while an API server is away.
package cluster

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meshc/meshc/server/kube"
)

// Cluster is what was heard of a cluster.
type Cluster struct {
	changed func()

	mu      sync.Mutex
	objects map[key][]byte // JSON
	unheard map[string]bool
	list    []byte // of all objects; nil: some have changed since
}

type key struct{ kind, namespace, name string }

// New makes a cluster of which nothing is known. changed is called when something is heard that makes a difference.
func New(changed func()) *Cluster {
	c := &Cluster{changed: changed, objects: map[key][]byte{}, unheard: map[string]bool{}}
	for _, kind := range kinds() {
		c.unheard[kind] = true
	}
	return c
}

// kinds are those that are followed.
func kinds() []string { return []string{"Namespace", "Node", "Service", "EndpointSlice", "Pod"} }

// Follow keeps the objects that watches see from now on.
func (c *Cluster) Follow(w *Watches) {
	w.namespaces.Join(sink(c, "v1", "Namespace", slimNamespace))
	w.nodes.Join(sink(c, "v1", "Node", slimNode))
	w.services.Join(sink(c, "v1", "Service", slimService))
	w.pods.Join(sink(c, "v1", "Pod", slimPod))
	w.slices.Join(sink(c, discoveryv1.SchemeGroupVersion.String(), "EndpointSlice", slimSlice))
}

// sink takes the objects of a kind.
func sink[T kube.Object](c *Cluster, version, kind string, slim func(T) T) kube.Sink[T] {
	at := func(o T) key { return key{kind, o.GetNamespace(), o.GetName()} }
	return kube.Sink[T]{
		Put:    func(o T) { c.take(map[key][]byte{at(o): text(slim(o), version, kind)}, nil, "") },
		Delete: func(o T) { c.take(nil, func(k key) bool { return k == at(o) }, "") },
		Replace: func(all []T) {
			next := make(map[key][]byte, len(all))
			for _, o := range all {
				next[at(o)] = text(slim(o), version, kind)
			}
			c.take(next, func(k key) bool { return k.kind == kind && next[k] == nil }, kind)
		},
	}
}

// text is an object as the compiler reads it; nil: it cannot be written, which no object of an API server is.
func text(o runtime.Object, version, kind string) []byte {
	typed, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil
	}
	typed["apiVersion"], typed["kind"] = version, kind
	if kind == "Namespace" || kind == "Node" { // of which no status is kept
		delete(typed, "status")
	}
	b, err := json.Marshal(typed)
	if err != nil {
		return nil
	}
	return b
}

// take takes in what was put and what is gone. heard is the kind of which all is known now, if it is one.
func (c *Cluster) take(put map[key][]byte, gone func(key) bool, heard string) {
	c.mu.Lock()
	changes := heard != "" && c.unheard[heard]
	delete(c.unheard, heard)
	for k := range c.objects {
		if gone != nil && gone(k) {
			delete(c.objects, k)
			changes = true
		}
	}
	for k, b := range put {
		if !bytes.Equal(c.objects[k], b) {
			c.objects[k] = b
			changes = true
		}
	}
	if changes {
		c.list = nil
	}
	changes = changes && len(c.unheard) == 0
	c.mu.Unlock()
	if changes {
		c.changed()
	}
}

// List is a List of all objects as JSON, in one order whatever came first; nil as long as a kind was never heard. It is not to be
// changed.
func (c *Cluster) List() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unheard) > 0 {
		return nil
	}
	if c.list != nil {
		return c.list
	}
	out := []byte(`{"apiVersion":"v1","kind":"List","items":[`)
	order := slices.SortedFunc(maps.Keys(c.objects), func(a, b key) int {
		return slices.Compare([]string{a.kind, a.namespace, a.name}, []string{b.kind, b.namespace, b.name})
	})
	for i, k := range order {
		if i > 0 {
			out = append(out, ',', '\n')
		}
		out = append(out, c.objects[k]...)
	}
	c.list = append(out, "]}\n"...)
	return c.list
}

// Counts tells how many objects of each kind there are.
func (c *Cluster) Counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for k := range c.objects {
		out[k.kind]++
	}
	return out
}
