package server

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/server/kube"
)

// endpointAPI follows the EndpointSlices, Pods and Nodes of an API server, those of all namespaces. What changes within
// endpointSettle comes to the server together, by namespace. Nothing comes before all three kinds were listed.
type endpointAPI struct {
	srv   *Server
	heard chan struct{} // something has changed

	mu      sync.Mutex
	slices  objectCache[*discoveryv1.EndpointSlice]
	pods    objectCache[*corev1.Pod]
	nodes   map[string]string // locality by name; replaced, never changed
	changed map[string]bool   // namespaces
	moved   bool              // nodes
	unheard map[string]bool   // kinds that were never listed
	trouble map[string]string // why nothing is heard of a kind
	last    *endpointSnapshot
}

// objectCache is the objects of a kind by namespace and name.
type objectCache[T metav1.Object] map[string]map[string]T

func (s objectCache[T]) put(o T) {
	if s[o.GetNamespace()] == nil {
		s[o.GetNamespace()] = map[string]T{}
	}
	s[o.GetNamespace()][o.GetName()] = o
}

func (s objectCache[T]) list(namespace string) []T { return slices.Collect(maps.Values(s[namespace])) }

func (s objectCache[T]) count() (n int) {
	for _, of := range s {
		n += len(of)
	}
	return n
}

// Kinds that are followed, as problems name them.
const kindSlices, kindPods, kindNodes = "EndpointSlices", "Pods", "Nodes"

var errEndpointsUnheard = errors.New("the endpoints of the cluster are not known yet")

func newEndpointAPI(srv *Server) *endpointAPI {
	return &endpointAPI{srv: srv, heard: make(chan struct{}, 1), slices: objectCache[*discoveryv1.EndpointSlice]{}, pods: objectCache[*corev1.Pod]{},
		nodes: map[string]string{}, changed: map[string]bool{},
		unheard: map[string]bool{kindSlices: true, kindPods: true, kindNodes: true}, trouble: map[string]string{}}
}

// run follows the API server until the context ends.
func (a *endpointAPI) run(ctx context.Context, c *kube.Client) {
	var watches sync.WaitGroup
	defer watches.Wait()
	slices, pods, nodes := a.sinks()
	watches.Go(func() { kube.Watch(ctx, c, kube.Query{}, slices) })
	watches.Go(func() { kube.Watch(ctx, c, kube.Query{}, pods) })
	watches.Go(func() { kube.Watch(ctx, c, kube.Query{}, nodes) })
	a.settle(ctx)
}

// sinks take what watches see.
func (a *endpointAPI) sinks() (kube.Sink[*discoveryv1.EndpointSlice], kube.Sink[*corev1.Pod], kube.Sink[*corev1.Node]) {
	return follow(a, kindSlices, a.slices, slimSlice), follow(a, kindPods, a.pods, slimPod), a.followNodes()
}

// settle hands what has changed to the server, until the context ends.
func (a *endpointAPI) settle(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.heard:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(endpointSettle):
		}
		a.tell()
	}
}

// follow is the sink of a kind that lies in namespaces. Objects are kept as slim makes them; one that looks as before is
// no change. It is called by the goroutines of watches.
func follow[T interface {
	kube.Object
	comparable
}](a *endpointAPI, kind string, s objectCache[T], slim func(T) T) kube.Sink[T] {
	put := func(o T) {
		o = slim(o)
		if before, ok := s[o.GetNamespace()][o.GetName()]; !ok || !reflect.DeepEqual(before, o) {
			s.put(o)
			a.changed[o.GetNamespace()] = true
		}
	}
	remove := func(namespace, name string) {
		delete(s[namespace], name)
		a.changed[namespace] = true
	}
	return kube.Sink[T]{
		Put:    func(o T) { a.note(func() { put(o) }) },
		Delete: func(o T) { a.note(func() { remove(o.GetNamespace(), o.GetName()) }) },
		Replace: func(all []T) {
			a.note(func() {
				delete(a.unheard, kind)
				there := map[[2]string]bool{}
				for _, o := range all {
					there[[2]string{o.GetNamespace(), o.GetName()}] = true
					put(o)
				}
				for namespace, objects := range s {
					for name := range objects {
						if !there[[2]string{namespace, name}] {
							remove(namespace, name)
						}
					}
				}
			})
		},
		Problem: func(err error) { a.suffers(kind, err) },
	}
}

// followNodes is the sink of Nodes, of which the locality is kept. Kubelets write their Nodes often; only another
// locality is a change.
func (a *endpointAPI) followNodes() kube.Sink[*corev1.Node] {
	set := func(next map[string]string) {
		if !maps.Equal(next, a.nodes) {
			a.nodes, a.moved = next, true
		}
	}
	return kube.Sink[*corev1.Node]{
		Put: func(n *corev1.Node) {
			a.note(func() {
				at := endpoint.NodeLocality(n.Labels)
				if before, ok := a.nodes[n.Name]; ok && before == at {
					return
				}
				next := maps.Clone(a.nodes)
				next[n.Name] = at
				set(next)
			})
		},
		Delete: func(n *corev1.Node) {
			a.note(func() {
				next := maps.Clone(a.nodes)
				delete(next, n.Name)
				set(next)
			})
		},
		Replace: func(all []*corev1.Node) {
			a.note(func() {
				delete(a.unheard, kindNodes)
				next := make(map[string]string, len(all))
				for _, n := range all {
					next[n.Name] = endpoint.NodeLocality(n.Labels)
				}
				set(next)
			})
		},
		Problem: func(err error) { a.suffers(kindNodes, err) },
	}
}

// note takes in a change and has it reported if it is one.
func (a *endpointAPI) note(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	if len(a.unheard) > 0 || len(a.changed) == 0 && !a.moved && a.last != nil {
		return
	}
	select {
	case a.heard <- struct{}{}:
	default:
	}
}

// tell hands the server what is seen now.
func (a *endpointAPI) tell() {
	a.mu.Lock()
	next := &endpointSnapshot{namespaces: map[string]endpoint.Objects{}, source: endpoint.Source{Slices: true, Pods: true, Nodes: a.nodes}}
	if a.last != nil {
		next.namespaces = maps.Clone(a.last.namespaces)
	}
	changed := a.changed
	for ns := range changed {
		if len(a.slices[ns])+len(a.pods[ns]) == 0 {
			delete(next.namespaces, ns)
			delete(a.slices, ns)
			delete(a.pods, ns)
			continue
		}
		next.namespaces[ns] = endpoint.Objects{Slices: a.slices.list(ns), Pods: a.pods.list(ns)}
	}
	a.changed, a.moved, a.last = map[string]bool{}, false, next
	t := endpointUpdate{snapshot: next, slices: a.slices.count(), pods: a.pods.count()}
	a.mu.Unlock()

	a.srv.updateEndpoints(next, changed)
	a.srv.metrics.endpoints.WithLabelValues("accepted").Inc()
	first := a.srv.source.loaded(t)
	a.mu.Lock()
	a.report()
	a.mu.Unlock()
	if first {
		a.srv.log.Info("endpoints heard from the API server", "slices", t.slices, "pods", t.pods, "nodes", len(next.source.Nodes))
	}
}

// suffers notes why nothing is heard of a kind; nil: it is heard.
func (a *endpointAPI) suffers(kind string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		delete(a.trouble, kind)
	} else {
		a.trouble[kind] = err.Error()
	}
	a.report()
}

// report shows in the status of the source what is wrong. What was heard before stays in service.
func (a *endpointAPI) report() {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(a.trouble)) {
		all = append(all, kind+": "+a.trouble[kind])
	}
	a.srv.source.failed(strings.Join(all, "; "))
}
