package cluster

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/meshc/meshc/server/kube"
)

// Watches are one watch of each kind, for all who listen: compiles, and a server that joins endpoints.
type Watches struct {
	namespaces kube.Feed[*corev1.Namespace]
	nodes      kube.Feed[*corev1.Node]
	services   kube.Feed[*corev1.Service]
	slices     kube.Feed[*discoveryv1.EndpointSlice]
	pods       kube.Feed[*corev1.Pod]

	mu     sync.Mutex
	failed func(reason string)
}

// NewWatches makes watches that do not run yet.
func NewWatches() *Watches {
	w := &Watches{}
	w.namespaces.Keep, w.nodes.Keep, w.services.Keep, w.slices.Keep, w.pods.Keep = slimNamespace, slimNode, slimService, keepSlice, keepPod
	return w
}

// Run watches until the context ends.
func (w *Watches) Run(ctx context.Context, api *kube.Client) {
	var watches sync.WaitGroup
	defer watches.Wait()
	watches.Go(func() { w.namespaces.Run(ctx, api, kube.Query{}) })
	watches.Go(func() { w.nodes.Run(ctx, api, kube.Query{}) })
	watches.Go(func() { w.services.Run(ctx, api, kube.Query{}) })
	watches.Go(func() { w.slices.Run(ctx, api, kube.Query{}) })
	watches.Go(func() { w.pods.Run(ctx, api, kube.Query{}) })
}

// Endpoints has sinks hear of what endpoints are joined from. Times of deletion and all conditions of Pods are there.
func (w *Watches) Endpoints(slices kube.Sink[*discoveryv1.EndpointSlice], pods kube.Sink[*corev1.Pod], nodes kube.Sink[*corev1.Node]) {
	w.slices.Join(slices)
	w.pods.Join(pods)
	w.nodes.Join(nodes)
}

// OnFailure has a function called with the reason of each request that fails from now on, as kube.Options has it.
func (w *Watches) OnFailure(count func(reason string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = count
}

// Failed is kube.Options.Failed of the client that the watches run with.
func (w *Watches) Failed(reason string) {
	w.mu.Lock()
	count := w.failed
	w.mu.Unlock()
	if count != nil {
		count(reason)
	}
}

// keepSlice keeps what a listener of EndpointSlices wants.
func keepSlice(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	out := slimSlice(s)
	out.DeletionTimestamp = s.DeletionTimestamp
	return out
}

// keepPod keeps what a listener of Pods wants.
func keepPod(p *corev1.Pod) *corev1.Pod {
	out := slimPod(p)
	out.DeletionTimestamp, out.Status.Conditions = p.DeletionTimestamp, p.Status.Conditions
	return out
}
