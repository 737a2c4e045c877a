package server

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

// secretAPI hands out the credentials that configurations name from Secrets and ConfigMaps of the API server. Each object
// is watched by itself, from when a proxy that may have it asks for it until none has for a while; nothing else is read.
//
// It reads the keys that Istio reads. As with files, a version that is no good leaves the last good one in use. While
// the API server is away, what was read stays in use; an object that was never read makes its proxy wait.
type secretAPI struct {
	client *kube.Client
	ctx    context.Context // of all watches
	cancel context.CancelFunc
	heard  func()        // called when a watch has told something new
	most   int           // watches at a time; negative: any number
	idle   time.Duration // how long a watch goes on that nobody needs

	running sync.WaitGroup
	mu      sync.Mutex
	watches map[secretObject]*secretWatch
}

// Resources of the API server that hold credentials.
const resourceSecrets, resourceConfigMaps = "secrets", "configmaps"

type secretObject struct{ resource, namespace, name string }

// String names it in messages.
func (o secretObject) String() string {
	kind := "Secret"
	if o.resource == resourceConfigMaps {
		kind = "ConfigMap"
	}
	return fmt.Sprintf("%s %s of namespace %s", kind, o.name, o.namespace)
}

// secretWatch is one object, as last seen.
type secretWatch struct {
	stop   context.CancelFunc
	used   time.Time
	listed bool // the API server has said whether there is one
	stored
	version int    // counted up
	problem string // why nothing is heard
	made    kept   // by SDS name
}

// waiting is why a secret is not there yet. It is no fault of the proxy's, and the log says it once for all of them.
type waiting string

// Error implements error.
func (w waiting) Error() string { return string(w) }

func newSecretAPI(c *kube.Client, most int, idle time.Duration, heard func()) *secretAPI {
	a := &secretAPI{client: c, heard: heard, most: most, idle: idle, watches: map[secretObject]*secretWatch{}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// close ends all watches, and waits until they have.
func (a *secretAPI) close() {
	a.mu.Lock()
	a.cancel() // from now on, none begins
	a.mu.Unlock()
	a.running.Wait()
	a.client.Close()
}

// load implements secretSource for references to Secrets and ConfigMaps.
func (a *secretAPI) load(ref credential.Reference, name string) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	resource := resourceSecrets
	if ref.Holder == credential.HolderConfigMap {
		resource = resourceConfigMaps
	}
	var at secretObject
	for _, n := range ref.Names {
		at = secretObject{resource, ref.Namespace, n}
		w, err := a.follow(at)
		switch {
		case err != nil:
			return nil, err
		case !w.listed && w.problem != "":
			return nil, waiting(at.String() + " cannot be read: " + w.problem)
		case !w.listed:
			return nil, waiting(at.String() + " is being read")
		case w.data != nil:
			return w.made.get(name, strconv.Itoa(w.version), func() ([]byte, error) { return w.message(at, ref, name) })
		}
	}
	return nil, fmt.Errorf("there is no %s", at)
}

func (w *secretWatch) message(at secretObject, ref credential.Reference, name string) ([]byte, error) {
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
func (a *secretAPI) follow(at secretObject) (*secretWatch, error) {
	if w := a.watches[at]; w != nil {
		w.used = time.Now()
		return w, nil
	}
	if a.ctx.Err() != nil {
		return nil, waiting("the server is about to end")
	}
	if a.most >= 0 && len(a.watches) >= a.most {
		return nil, fmt.Errorf("%s is not read: %d are being watched already, which is the most; see --max-secret-watches", at, a.most)
	}
	ctx, stop := context.WithCancel(a.ctx)
	w := &secretWatch{stop: stop, used: time.Now(), made: kept{}}
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
func sinkOf[T kube.Object](a *secretAPI, at secretObject, w *secretWatch, read func(T) stored) kube.Sink[T] {
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
	data    secretData // nil: there is no object
	others  string     // names of the keys, for messages
	refused error      // why it can hold no credentials
}

func (a *secretAPI) take(w *secretWatch, c stored) {
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
	c := stored{data: secretData{}}
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
		c = stored{data: secretData{}, others: c.others, refused: fmt.Errorf("is of type %s, which is not for TLS; make one of type %s", s.Type, corev1.SecretTypeTLS)}
	}
	return c
}

// sweep ends the watches that no stream has needed for a while.
func (a *secretAPI) sweep(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, w := range a.watches {
		if now.Sub(w.used) > a.idle {
			w.stop()
			delete(a.watches, at)
		}
	}
}

// SecretStatus is an object of the API server that secrets come from.
type SecretStatus struct {
	Resource  string `json:"resource"` // secrets or configmaps
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     string `json:"state"`             // waiting, present, absent
	Problem   string `json:"problem,omitempty"` // why the state may be an old one, or is not known
}

func (a *secretAPI) status() []SecretStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]SecretStatus, 0, len(a.watches))
	for at, w := range a.watches {
		s := SecretStatus{Resource: at.resource, Namespace: at.namespace, Name: at.name, State: "waiting", Problem: w.problem}
		switch {
		case w.listed && w.data != nil:
			s.State = "present"
		case w.listed:
			s.State = "absent"
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b SecretStatus) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// health tells whether all that is watched is heard of.
func (a *secretAPI) health() watch.Status {
	var parts []watch.Status
	for _, s := range a.status() {
		parts = append(parts, watch.Status{Path: secretObject{s.Resource, s.Namespace, s.Name}.String(), Error: s.Problem})
	}
	return watch.Together("credentials", a.client.Address(), parts)
}
