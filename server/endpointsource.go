package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/server/watch"
)

// noPlan is why a source of endpoints is of no use to a bundle.
const noPlan = "the bundle does not say how its clusters are joined with live endpoints: it spans several clusters, has no service with Pods, or is of an older meshc; its own endpoints are served"

// endpointUpdate is a snapshot of a source with the number of objects in it.
type endpointUpdate struct {
	snapshot              *endpointSnapshot
	slices, pods, ignored int
}

// updateEndpoints takes what the source sees into service and pushes what differs. namespaces are those that have changed; nil: any
// may have.
func (srv *Server) updateEndpoints(next *endpointSnapshot, namespaces map[string]bool) {
	srv.turn.Lock()
	defer srv.turn.Unlock()
	srv.endpoints = next
	assigned := srv.assigned.Load()
	streams := []*session(nil)
	if assigned.crowded() {
		again, err := newAssignment(assigned.state, assigned.live, assigned, nil, next)
		if err != nil {
			srv.log.Error("the endpoints before stay in service", "error", err.Error()) // cannot be: all bundles are those of before
			return
		}
		assigned = again
		streams = srv.assign(assigned)
	} else if assigned.updateEndpoints(next, namespaces) {
		streams = srv.snapshot()
	}
	forEach(streams, func(s *session) { srv.renew(s, assigned.of(s.node)) })
	srv.sweep()
}

// renew leads a session to the endpoints as they are now.
func (srv *Server) renew(s *session, gen *generation) {
	if err := srv.lead(s, gen, s.renew); err != nil {
		srv.log.Error("proxy keeps its endpoints", "node", s.node.ID, "error", err.Error())
	}
}

// endpointSettle is how long a source waits for more of a change.
const endpointSettle = 100 * time.Millisecond

// startEndpoints begins to follow the source of endpoints. Files have been read when it returns, so that the
// first proxies get it; for an API server proxies wait, see unheard.
func (srv *Server) startEndpoints(ctx context.Context) error {
	if srv.endpoints == nil {
		return nil
	}
	if srv.base().joiner == nil {
		srv.log.Warn(noPlan)
	}
	if w := srv.opts.Watches; srv.opts.KubernetesEndpoints && w != nil {
		w.OnFailure(func(reason string) { srv.metrics.apiErrors.WithLabelValues(reason).Inc() })
		a := newEndpointAPI(srv)
		w.Endpoints(a.sinks())
		go a.settle(ctx)
		return nil
	}
	if srv.opts.KubernetesEndpoints {
		client, err := srv.connect()
		if err != nil {
			return err
		}
		srv.log.Info("endpoints are read from the API server", "api", client.Address())
		go newEndpointAPI(srv).run(ctx, client)
		return nil
	}
	p := &watch.Path{Monitor: srv.endpointWatch, Stamp: func() string { return fileStamp(srv.opts.Endpoints) }, Read: srv.lookAtFiles, Failed: srv.rejectedEndpoints,
		Poll: srv.opts.Poll, Settle: endpointSettle, Log: srv.log}
	looked := make(chan struct{})
	go p.Follow(ctx, func() { close(looked) })
	select {
	case <-looked:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(cmp.Or(srv.opts.open.stall, limit.StallAfter)):
		srv.log.Error("the files of endpoints cannot be read; those of the bundle are served", "path", srv.opts.Endpoints, "error", "reading hangs")
	}
	return nil
}

// lookAtFiles reads the files of endpoints. What cannot be read leaves the endpoints before in service.
func (srv *Server) lookAtFiles() error {
	t, err := srv.opts.open.endpoints(srv.opts.Endpoints)
	if err != nil {
		return err
	}
	srv.metrics.endpoints.WithLabelValues("accepted").Inc()
	srv.updateEndpoints(t.snapshot, nil)
	srv.source.loaded(t)
	srv.log.Info("endpoints read", "path", srv.opts.Endpoints, "slices", t.slices, "pods", t.pods, "nodes", len(t.snapshot.source.Nodes), "ignored", t.ignored)
	if t.slices > 0 && t.pods == 0 {
		srv.log.Warn("the endpoints come without Pods: nothing is known about their labels, and that they take mutual TLS", "path", srv.opts.Endpoints)
	}
	return nil
}

// rejectedEndpoints tells of files that are not taken into service.
func (srv *Server) rejectedEndpoints(err error) {
	srv.source.failed(err.Error())
	srv.metrics.endpoints.WithLabelValues("rejected").Inc()
	srv.log.Error("endpoints rejected, those before stay in service", "path", srv.opts.Endpoints, "error", err.Error())
}

// endpointCollector sorts objects into a snapshot.
type endpointCollector struct {
	t    endpointUpdate
	seen map[string]bool
}

func newEndpointCollector() *endpointCollector {
	return &endpointCollector{t: endpointUpdate{snapshot: &endpointSnapshot{namespaces: map[string]endpoint.Objects{}, source: endpoint.Source{Nodes: map[string]string{}}}}, seen: map[string]bool{}}
}

// slimSlice keeps of an EndpointSlice what endpoints need: who wrote which field is most of it.
func slimSlice(e *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	out := *e
	out.ObjectMeta = metav1.ObjectMeta{Name: e.Name, Namespace: e.Namespace, Labels: e.Labels, CreationTimestamp: e.CreationTimestamp, DeletionTimestamp: e.DeletionTimestamp}
	return &out
}

// slimPod keeps of a Pod what endpoints need.
func slimPod(p *corev1.Pod) *corev1.Pod {
	out := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, Labels: p.Labels, Annotations: p.Annotations, OwnerReferences: p.OwnerReferences,
			CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp},
		Spec:   corev1.PodSpec{NodeName: p.Spec.NodeName, Hostname: p.Spec.Hostname},
		Status: corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, PodIPs: p.Status.PodIPs, Conditions: p.Status.Conditions},
	}
	slim := func(list []corev1.Container) (out []corev1.Container) {
		for _, c := range list {
			out = append(out, corev1.Container{Name: c.Name, Ports: c.Ports})
		}
		return out
	}
	out.Spec.Containers, out.Spec.InitContainers = slim(p.Spec.Containers), slim(p.Spec.InitContainers)
	return out
}

var errEmpty = errors.New("there is neither an EndpointSlice nor a Pod: an empty file takes no endpoints away")

func (g *endpointCollector) once(kind, namespace, name string) error {
	key := kind + " " + namespace + "/" + name
	if g.seen[key] {
		return fmt.Errorf("%s is there twice", key)
	}
	g.seen[key] = true
	return nil
}
