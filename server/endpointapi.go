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
// endpointSettle is told to the server together, by namespace. Until all three kinds were heard nothing is told.
type endpointAPI struct {
	srv   *Server
	heard chan struct{} // something has changed

	mu      sync.Mutex
	slices  shelf[*discoveryv1.EndpointSlice]
	pods    shelf[*corev1.Pod]
	nodes   map[string]string // locality by name; replaced, never changed
	changed map[string]bool   // namespaces
	unheard map[string]bool   // kinds that were never listed
	trouble map[string]string // why nothing is heard of a kind
	last    *sighting
}

// shelf is the objects of a kind by namespace and name.
type shelf[T metav1.Object] map[string]map[string]T

func (s shelf[T]) put(o T) {
	if s[o.GetNamespace()] == nil {
		s[o.GetNamespace()] = map[string]T{}
	}
	s[o.GetNamespace()][o.GetName()] = o
}

func (s shelf[T]) list(namespace string) []T { return slices.Collect(maps.Values(s[namespace])) }

func (s shelf[T]) count() (n int) {
	for _, of := range s {
		n += len(of)
	}
	return n
}

// Kinds that are followed, as problems name them.
const kindSlices, kindPods, kindNodes = "EndpointSlices", "Pods", "Nodes"

var errEndpointsUnheard = errors.New("the endpoints of the cluster are not known yet")

func newEndpointAPI(srv *Server) *endpointAPI {
	return &endpointAPI{srv: srv, heard: make(chan struct{}, 1), slices: shelf[*discoveryv1.EndpointSlice]{}, pods: shelf[*corev1.Pod]{}, changed: map[string]bool{},
		unheard: map[string]bool{kindSlices: true, kindPods: true, kindNodes: true}, trouble: map[string]string{}}
}

// run follows the API server until the context ends.
func (a *endpointAPI) run(ctx context.Context, c *kube.Client) {
	var watches sync.WaitGroup
	defer watches.Wait()
	watches.Go(func() {
		kube.Watch(ctx, c, kube.Query{}, follow(a, kindSlices, func() shelf[*discoveryv1.EndpointSlice] { return a.slices }, slimSlice))
	})
	watches.Go(func() {
		kube.Watch(ctx, c, kube.Query{}, follow(a, kindPods, func() shelf[*corev1.Pod] { return a.pods }, slimPod))
	})
	watches.Go(func() { kube.Watch(ctx, c, kube.Query{}, a.followNodes()) })
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
}](a *endpointAPI, kind string, of func() shelf[T], slim func(T) T) kube.Sink[T] {
	put := func(o T) {
		o = slim(o)
		s := of()
		if before, ok := s[o.GetNamespace()][o.GetName()]; !ok || !reflect.DeepEqual(before, o) {
			s.put(o)
			a.changed[o.GetNamespace()] = true
		}
	}
	remove := func(namespace, name string) {
		delete(of()[namespace], name)
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
				for namespace, objects := range of() {
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
			a.nodes = next
		}
	}
	with := func(change func(map[string]string)) {
		a.note(func() {
			next := maps.Clone(a.nodes)
			change(next)
			set(next)
		})
	}
	return kube.Sink[*corev1.Node]{
		Put: func(n *corev1.Node) {
			with(func(next map[string]string) { next[n.Name] = endpoint.NodeLocality(n.Labels) })
		},
		Delete: func(n *corev1.Node) { with(func(next map[string]string) { delete(next, n.Name) }) },
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

// note takes in a change and has it told if it is one.
func (a *endpointAPI) note(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	unheard := len(a.unheard)
	change()
	if len(a.unheard) > 0 || len(a.changed) == 0 && len(a.unheard) == unheard && a.last != nil && maps.Equal(a.nodes, a.last.source.Nodes) {
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
	next := &sighting{namespaces: map[string]endpoint.Objects{}, source: endpoint.Source{Slices: true, Pods: true, Nodes: a.nodes}}
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
	a.changed, a.last = map[string]bool{}, next
	t := told{sight: next, slices: a.slices.count(), pods: a.pods.count()}
	a.mu.Unlock()

	a.srv.see(next, changed)
	a.srv.metrics.endpoints.WithLabelValues("accepted").Inc()
	first := a.srv.source.told(t)
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

// slimSlice keeps of an EndpointSlice what endpoints need: who wrote which field is most of it.
func slimSlice(e *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	out := *e
	out.ObjectMeta = metav1.ObjectMeta{Name: e.Name, Namespace: e.Namespace, Labels: e.Labels, CreationTimestamp: e.CreationTimestamp, DeletionTimestamp: e.DeletionTimestamp}
	return &out
}
