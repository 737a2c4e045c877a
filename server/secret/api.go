package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/credential"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/server/kube"
	"github.com/meshc/meshc/server/watch"
)

// API hands out the credentials that configurations name from Secrets and ConfigMaps of the API server. Each object
// is watched by itself, from when a proxy that may have it asks for it until none has for a while; nothing else is read.
//
// It reads the keys that Istio reads. As with files, a version that is no good leaves the last good one in use. While
// the API server is away, what was read stays in use; an object that was never read makes its proxy wait.
type API struct {
	client *kube.Client
	ctx    context.Context // of all watches
	cancel context.CancelFunc
	heard  func()        // called when a watch has told something new
	most   int           // watches at a time; negative: any number
	idle   time.Duration // how long a watch goes on that nobody needs

	running sync.WaitGroup
	mu      sync.Mutex
	watches map[object]*objectWatch
}

// Resources of the API server that hold credentials.
const resourceSecrets, resourceConfigMaps = "secrets", "configmaps"

type object struct{ resource, namespace, name string }

// String names it in messages.
func (o object) String() string {
	kind := "Secret"
	if o.resource == resourceConfigMaps {
		kind = "ConfigMap"
	}
	return fmt.Sprintf("%s %s of namespace %s", kind, o.name, o.namespace)
}

// objectWatch is one object, as last seen.
type objectWatch struct {
	stop   context.CancelFunc
	used   time.Time
	listed bool // the API server has said whether there is one
	stored
	version int    // counted up
	problem string // why nothing is heard
	made    kept   // by SDS name
}

// Waiting is why a secret is not there yet. It is no fault of the proxy's, and the log says it once for all of them.
type Waiting string

// Error implements error.
func (w Waiting) Error() string { return string(w) }

func NewAPI(c *kube.Client, most int, idle time.Duration, heard func()) *API {
	a := &API{client: c, heard: heard, most: most, idle: idle, watches: map[object]*objectWatch{}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Close ends all watches, and waits until they have.
func (a *API) Close() {
	a.mu.Lock()
	a.cancel() // from now on, none begins
	a.mu.Unlock()
	a.running.Wait()
	a.client.Close()
}

// Load implements Source for references to Secrets and ConfigMaps.
func (a *API) Load(ref credential.Reference, name string) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	resource := resourceSecrets
	if ref.Holder == credential.HolderConfigMap {
		resource = resourceConfigMaps
	}
	var at object
	for _, n := range ref.Names {
		at = object{resource, ref.Namespace, n}
		w, err := a.follow(at)
		switch {
		case err != nil:
			return nil, err
		case !w.listed && w.problem != "":
			return nil, Waiting(at.String() + " cannot be read: " + w.problem)
		case !w.listed:
			return nil, Waiting(at.String() + " is being read")
		case w.data != nil:
			return w.made.get(name, strconv.Itoa(w.version), func() ([]byte, error) { return w.message(at, ref, name) })
		}
	}
	return nil, fmt.Errorf("there is no %s", at)
}

func (w *objectWatch) message(at object, ref credential.Reference, name string) ([]byte, error) {
	if w.refused != nil {
		return nil, fmt.Errorf("%s %w", at, w.refused)
	}
	b, err := w.data.message(name, ref.CA)
	switch {
	case errors.Is(err, errKeysMissing) && ref.CA:
		return nil, fmt.Errorf("%s has neither cacert nor ca.crt, or it is empty; its keys are %s", at, w.others)
	case errors.Is(err, errKeysMissing):
		return nil, fmt.Errorf("%s has neither cert and key nor tls.crt and tls.key, or they are empty; its keys are %s", at, w.others)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return b, nil
}

// watch returns the watch of the object, which it starts if there is none. Call with mu held.
func (a *API) follow(at object) (*objectWatch, error) {
	if w := a.watches[at]; w != nil {
		w.used = time.Now()
		return w, nil
	}
	if a.ctx.Err() != nil {
		return nil, Waiting("the server is about to end")
	}
	if a.most >= 0 && len(a.watches) >= a.most {
		return nil, fmt.Errorf("%s is not read: %d are being watched already, which is the most; see --max-secret-watches", at, a.most)
	}
	ctx, stop := context.WithCancel(a.ctx)
	w := &objectWatch{stop: stop, used: time.Now(), made: kept{}}
	a.watches[at] = w
	q := kube.Query{Namespace: at.namespace, Name: at.name}
	a.running.Go(func() {
		if at.resource == resourceConfigMaps {
			kube.Watch(ctx, a.client, q, sinkOf(a, at, w, readConfigMap))
		} else {
			kube.Watch(ctx, a.client, q, sinkOf(a, at, w, readSecret))
		}
	})
	return w, nil
}

// sinkOf takes what is heard of the object. An API server that shows others, too, is not listened to.
func sinkOf[T kube.Object](a *API, at object, w *objectWatch, read func(T) stored) kube.Sink[T] {
	is := func(o T) bool { return o.GetNamespace() == at.namespace && o.GetName() == at.name }
	put := func(o T) {
		if is(o) {
			a.take(w, read(o))
		}
	}
	return kube.Sink[T]{
		Replace: func(all []T) {
			if i := slices.IndexFunc(all, is); i >= 0 {
				put(all[i])
			} else {
				a.take(w, stored{})
			}
		},
		Put: put,
		Delete: func(o T) {
			if is(o) {
				a.take(w, stored{})
			}
		},
		Problem: func(err error) {
			a.mu.Lock()
			w.problem = ""
			if err != nil {
				w.problem = err.Error()
			}
			a.mu.Unlock()
			a.heard()
		},
	}
}

// stored is what is kept of an object: the keys that are read, and the names of all.
type stored struct {
	data    data   // nil: there is no object
	others  string // names of the keys, for messages
	refused error  // why it can hold no credentials
}

func (a *API) take(w *objectWatch, c stored) {
	a.mu.Lock()
	w.listed, w.stored = true, c
	w.version++
	if c.data == nil {
		clear(w.made) // what is gone is handed out no more
	}
	a.mu.Unlock()
	a.heard()
}

// keyNames shows the first few names.
func keyNames(names []string) string {
	const most = 5
	slices.Sort(names)
	var out []string
	for _, n := range names[:min(most, len(names))] {
		out = append(out, fmt.Sprintf("%.60q", n))
	}
	if len(names) > most {
		out = append(out, fmt.Sprintf("and %d more", len(names)-most))
	}
	return "[" + strings.Join(out, " ") + "]"
}

func credentialOf[V []byte | string](all map[string]V, pairs ...keyPair) stored {
	c := stored{data: data{}}
	names := make([]string, 0, len(all))
	for k := range all {
		names = append(names, k)
	}
	c.others = keyNames(names)
	for _, p := range pairs {
		for _, k := range []string{p.first, p.second} {
			v, ok := all[k]
			if len(v) > limit.SecretBytes {
				c.refused = fmt.Errorf("holds more than %d bytes in %s", limit.SecretBytes, k)
			} else if ok {
				c.data[k] = []byte(v)
			}
		}
	}
	return c
}

func readConfigMap(m *corev1.ConfigMap) stored { return credentialOf(m.Data, rootKeys()...) }

// readSecret reads any type of Secret that is not known to be for something else, as Istio does: what counts is the keys.
func readSecret(s *corev1.Secret) stored {
	c := credentialOf(s.Data, slices.Concat(certificateKeys(), rootKeys(), []keyPair{{first: stapleKey}})...)
	switch s.Type {
	case corev1.SecretTypeDockerConfigJson, corev1.SecretTypeDockercfg, corev1.SecretTypeServiceAccountToken, corev1.SecretTypeBasicAuth, corev1.SecretTypeSSHAuth,
		corev1.SecretTypeBootstrapToken, "helm.sh/release.v1":
		c = stored{data: data{}, others: c.others, refused: fmt.Errorf("is of type %s, which is not for TLS; make one of type %s", s.Type, corev1.SecretTypeTLS)}
	}
	return c
}

// Sweep ends the watches that no stream has needed for a while.
func (a *API) Sweep(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, w := range a.watches {
		if now.Sub(w.used) > a.idle {
			w.stop()
			delete(a.watches, at)
		}
	}
}

// Status is an object of the API server that secrets come from.
type Status struct {
	Resource  string `json:"resource"` // secrets or configmaps
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     string `json:"state"`             // waiting, present, absent
	Problem   string `json:"problem,omitempty"` // why the state may be an old one, or is not known
}

func (a *API) Status() []Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Status, 0, len(a.watches))
	for at, w := range a.watches {
		s := Status{Resource: at.resource, Namespace: at.namespace, Name: at.name, State: "waiting", Problem: w.problem}
		switch {
		case w.listed && w.data != nil:
			s.State = "present"
		case w.listed:
			s.State = "absent"
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// Expiring implements Source.
func (a *API) Expiring() (list []Expiry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, w := range a.watches {
		for _, made := range w.made {
			if !made.expires.IsZero() {
				list = append(list, Expiry{at.String(), made.expires.UTC()})
			}
		}
	}
	return soonest(list)
}

// Health tells whether all that is watched is heard of.
func (a *API) Health() watch.Status {
	var parts []watch.Status
	for _, s := range a.Status() {
		parts = append(parts, watch.Status{Path: object{s.Resource, s.Namespace, s.Name}.String(), Error: s.Problem})
	}
	return watch.Together("credentials", a.client.Address(), parts)
}
