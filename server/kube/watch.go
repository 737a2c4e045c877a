package kube

import (
	"context"
	"math"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Object is what can be watched.
type Object interface {
	*corev1.Secret | *corev1.ConfigMap | *corev1.Namespace | *corev1.Service | *corev1.Pod | *corev1.Node | *discoveryv1.EndpointSlice
	runtime.Object
	metav1.Object
}

// Query narrows a watch. RBAC follows it: one that names an object needs list and watch on that name alone
// (resourceNames), one with a namespace a Role there, one with neither a ClusterRole.
type Query struct {
	Namespace string // "": all
	Name      string // "": all
	Labels    string // a label selector; "": all
}

// Sink takes what a watch sees. Its functions are called one at a time, in the order of things; those that are nil, not
// at all. Objects are the callee's to keep, and not to change.
type Sink[T Object] struct {
	Replace func([]T)   // all there are: first, and again when the watch has lost the thread
	Put     func(T)     // new or changed
	Delete  func(T)     // gone
	Problem func(error) // why nothing is heard, each time that changes; nil when the watch runs. What was seen before stays so
}

// Watch lists what the query asks for and follows it until the context ends: through lost connections, an API server that
// is away, and histories that have expired. What goes wrong is logged, counted and told to the sink, and tried again.
func Watch[T Object](ctx context.Context, c *Client, q Query, s Sink[T]) {
	w := &watcher{c: c, q: q, what: of[T](), sink: s.Problem}
	defer w.end()
	// The reflector's log shows whole objects when it does not understand them, and these may be secrets.
	var quiet klog.Logger // as it is, it writes nothing
	ctx = klog.NewContext(ctx, quiet)
	steps := int(math.Ceil(math.Log2(float64(c.opts.MaxRetry)/float64(c.opts.MinRetry)))) + 1
	cache.NewReflectorWithOptions(w, w.what.object, store[T]{s}, cache.ReflectorOptions{
		Logger: &quiet, Name: "meshc",
		Backoff: &wait.Backoff{Duration: c.opts.MinRetry, Cap: c.opts.MaxRetry, Steps: steps, Factor: 2, Jitter: 1},
	}).RunWithContext(ctx)
}

// resource is a kind of objects as the API server names it.
type resource struct {
	gv     schema.GroupVersion
	plural string
	object runtime.Object
	list   func() runtime.Object
}

func of[T Object]() resource {
	core, discovery := corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion
	switch any(*new(T)).(type) {
	case *corev1.Secret:
		return resource{core, "secrets", &corev1.Secret{}, func() runtime.Object { return &corev1.SecretList{} }}
	case *corev1.ConfigMap:
		return resource{core, "configmaps", &corev1.ConfigMap{}, func() runtime.Object { return &corev1.ConfigMapList{} }}
	case *corev1.Namespace:
		return resource{core, "namespaces", &corev1.Namespace{}, func() runtime.Object { return &corev1.NamespaceList{} }}
	case *corev1.Service:
		return resource{core, "services", &corev1.Service{}, func() runtime.Object { return &corev1.ServiceList{} }}
	case *corev1.Pod:
		return resource{core, "pods", &corev1.Pod{}, func() runtime.Object { return &corev1.PodList{} }}
	case *corev1.Node:
		return resource{core, "nodes", &corev1.Node{}, func() runtime.Object { return &corev1.NodeList{} }}
	default: // the constraint leaves one
		return resource{discovery, "endpointslices", &discoveryv1.EndpointSlice{}, func() runtime.Object { return &discoveryv1.EndpointSliceList{} }}
	}
}

// watcher is the reflector's view of one watch.
type watcher struct {
	c    *Client
	q    Query
	what resource
	sink func(error)

	mu    sync.Mutex // a list that is under way when the watch ends goes on for a moment
	last  string     // text of the problem it has
	ended bool
}

// IsWatchListSemanticsUnSupported tells the reflector to list and then watch. Its newer way, a watch that begins with
// what there is, fails in ways of its own on servers that do not have it, and leaves a role without list seem right.
func (w *watcher) IsWatchListSemanticsUnSupported() bool { return true }

const listTimeout = time.Minute

// ListWithContext implements cache.ListerWithContext.
func (w *watcher) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	inTime, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list := w.what.list()
	err := w.request(&o).Do(inTime).Into(list)
	if err != nil {
		w.failed(ctx, err)
		return nil, err
	}
	return list, nil
}

// WatchWithContext implements cache.WatcherWithContext.
func (w *watcher) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	long := 10 * time.Minute
	if o.TimeoutSeconds != nil {
		long = time.Duration(*o.TimeoutSeconds) * time.Second
	}
	// The API server ends a watch in time. This is for a connection whose other end is gone without a word.
	inTime, cancel := context.WithTimeout(ctx, long+time.Minute)
	got, err := w.request(&o).Watch(inTime)
	if err != nil {
		cancel()
		w.failed(ctx, err)
		return nil, err
	}
	w.report(nil)
	return &ending{got, cancel}, nil
}

// List implements cache.Lister, and as Watch does for callers without a context; the reflector has one.
func (w *watcher) List(o metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), o)
}

// Watch implements cache.Watcher.
func (w *watcher) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), o)
}

// request asks for what the query leaves. Trying again is the reflector's, which waits longer each time.
func (w *watcher) request(o *metav1.ListOptions) *rest.Request {
	if w.q.Name != "" {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, w.q.Name).String()
	}
	o.LabelSelector = w.q.Labels
	return w.c.groups[w.what.gv].Get().NamespaceIfScoped(w.q.Namespace, w.q.Namespace != "").Resource(w.what.plural).VersionedParams(o, w.c.params).MaxRetries(0)
}

// ending is a watch that lets go of its timer.
type ending struct {
	watch.Interface
	cancel context.CancelFunc
}

// Stop implements watch.Interface.
func (e *ending) Stop() { e.Interface.Stop(); e.cancel() }

// store hands what the reflector sees to a sink.
type store[T Object] struct{ sink Sink[T] }

func give[T any](f func(T), obj any) {
	if o, ok := obj.(T); ok && f != nil {
		f(o)
	}
}

// Add implements cache.ReflectorStore, as do the methods below.
func (s store[T]) Add(obj any) error { give(s.sink.Put, obj); return nil }

// Update implements cache.ReflectorStore.
func (s store[T]) Update(obj any) error { give(s.sink.Put, obj); return nil }

// Delete implements cache.ReflectorStore.
func (s store[T]) Delete(obj any) error { give(s.sink.Delete, obj); return nil }

// Replace implements cache.ReflectorStore.
func (s store[T]) Replace(objs []any, _ string) error {
	all := make([]T, 0, len(objs))
	for _, o := range objs {
		give(func(o T) { all = append(all, o) }, o)
	}
	give(s.sink.Replace, any(all))
	return nil
}

// Resync implements cache.ReflectorStore; nothing here forgets what it was told.
func (s store[T]) Resync() error { return nil }
