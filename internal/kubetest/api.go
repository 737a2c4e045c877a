// Package kubetest is an API server for tests: it lists and watches, forgets its history, forbids, hangs up and is away
// when a test says so. It keeps note of what it was asked.
package kubetest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Request is what the API server was asked.
type Request struct {
	Verb      string // list or watch
	Resource  string // secrets
	Namespace string // "": all
	Name      string // of the field selector; "": all
}

// API is the API server.
type API struct {
	URL string

	t       testing.TB
	mu      sync.Mutex
	cond    *sync.Cond
	version int
	floor   int // events up to this version are forgotten
	objects map[string]object
	events  []event
	open    int // watches
	hangups int // counted up: watches of before end
	down    bool
	asked   []Request
	forbid  func(Request) bool
}

// object has a place: resource, namespace and name.
type object struct {
	resource, namespace, name string
	labels                    map[string]string
	json                      map[string]any
}

type event struct {
	version int
	kind    string // ADDED, MODIFIED, DELETED
	of      object
}

// New starts an API server, without TLS on this host, which ends with the test.
func New(t testing.TB) *API {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return On(t, l)
}

// On starts an API server on a listener, which is its own from then on.
func On(t testing.TB, l net.Listener) *API {
	a := &API{t: t, version: 1, objects: map[string]object{}, forbid: func(Request) bool { return false }}
	a.cond = sync.NewCond(&a.mu)
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: a}}
	srv.Start()
	a.URL = srv.URL
	t.Cleanup(func() {
		a.HangUp()
		srv.CloseClientConnections()
		srv.Close()
	})
	return a
}

// Kubeconfig writes a kubeconfig for it, and returns its path.
func (a *API) Kubeconfig() string {
	file := filepath.Join(a.t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: test, clusters: [{name: test, cluster: {server: %q}}],
contexts: [{name: test, context: {cluster: test, user: test}}], users: [{name: test, user: {token: not-for-logs}}]}`, a.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// Put adds or replaces an object of the resource, which has to have apiVersion, kind and a name.
func (a *API) Put(resource string, obj metav1.Object) {
	a.t.Helper()
	b, err := json.Marshal(obj)
	if err != nil {
		a.t.Fatal(err)
	}
	o := object{resource: resource, namespace: obj.GetNamespace(), name: obj.GetName(), labels: obj.GetLabels()}
	if err := json.Unmarshal(b, &o.json); err != nil {
		a.t.Fatal(err)
	}
	if o.json["kind"] == nil || o.json["apiVersion"] == nil {
		a.t.Fatalf("%s %s has no kind or apiVersion", resource, obj.GetName())
	}
	a.change(o, false)
}

// Remove deletes an object.
func (a *API) Remove(resource, namespace, name string) {
	a.mu.Lock()
	o, ok := a.objects[key(resource, namespace, name)]
	a.mu.Unlock()
	if !ok {
		a.t.Fatalf("no %s %s/%s to remove", resource, namespace, name)
	}
	a.change(o, true)
}

func key(parts ...string) string { return strings.Join(parts, "/") }

func (a *API) change(o object, gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	meta, _ := o.json["metadata"].(map[string]any)
	fresh := map[string]any{"resourceVersion": strconv.Itoa(a.version)}
	for k, v := range meta {
		if k != "resourceVersion" {
			fresh[k] = v
		}
	}
	doc := map[string]any{}
	for k, v := range o.json {
		doc[k] = v
	}
	doc["metadata"] = fresh
	o.json = doc
	k, e := key(o.resource, o.namespace, o.name), event{version: a.version, kind: "ADDED", of: o}
	if _, had := a.objects[k]; had {
		e.kind = "MODIFIED"
	}
	if a.objects[k] = o; gone {
		e.kind = "DELETED"
		delete(a.objects, k)
	}
	a.events = append(a.events, e)
	a.cond.Broadcast()
}

// Forbid says which requests are answered 403; all others are answered.
func (a *API) Forbid(which func(Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forbid = which
}

// Down makes it break every connection, or stop doing so.
func (a *API) Down(down bool) {
	a.mu.Lock()
	a.down = down
	a.mu.Unlock()
	if down {
		a.HangUp()
	}
}

// HangUp ends the watches that are open, without a word.
func (a *API) HangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hangups++
	a.cond.Broadcast()
}

// Forget drops the history: watches that want to go on from before are told 410 Gone.
func (a *API) Forget() {
	a.mu.Lock()
	a.version++
	a.floor, a.events = a.version, nil
	a.mu.Unlock()
	a.HangUp()
}

// Open is the number of watches that are open.
func (a *API) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// Asked is all it was asked so far, in order.
func (a *API) Asked() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, ok := parse(r)
	a.mu.Lock()
	if a.down {
		a.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	a.asked = append(a.asked, req)
	forbidden := a.forbid(req)
	a.mu.Unlock()
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
	case forbidden:
		refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf(`%s %q is forbidden: User "test" cannot %s resource %q in the namespace %q`, req.Resource, req.Name, req.Verb, req.Resource, req.Namespace))
	case req.Verb == "watch":
		a.watch(w, r, req)
	default:
		a.list(w, r, req)
	}
}

// parse reads /api/v1/…, /apis/GROUP/VERSION/… with or without /namespaces/NAMESPACE.
func parse(r *http.Request) (Request, bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	skip := map[string]int{"api": 2, "apis": 3}[parts[0]]
	if skip == 0 || len(parts) <= skip {
		return Request{}, false
	}
	parts, req := parts[skip:], Request{Verb: "list"}
	if parts[0] == "namespaces" && len(parts) > 2 {
		req.Namespace, parts = parts[1], parts[2:]
	}
	req.Resource = parts[0]
	q := r.URL.Query()
	req.Name, _ = strings.CutPrefix(q.Get("fieldSelector"), "metadata.name=")
	if q.Get("watch") == "true" || q.Get("watch") == "1" {
		req.Verb = "watch"
	}
	return req, len(parts) == 1
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(failure(code, reason, message))
}

func failure(code int, reason metav1.StatusReason, message string) metav1.Status {
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message}
}

func (req Request) takes(o object, sel labels.Selector) bool {
	return o.resource == req.Resource && (req.Namespace == "" || o.namespace == req.Namespace) && (req.Name == "" || o.name == req.Name) && sel.Matches(labels.Set(o.labels))
}

func (a *API) list(w http.ResponseWriter, r *http.Request, req Request) {
	sel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	a.mu.Lock()
	items := []any{}
	for _, o := range a.objects {
		if req.takes(o, sel) {
			items = append(items, o.json)
		}
	}
	version := strconv.Itoa(a.version)
	a.mu.Unlock()
	kind := map[string]string{"secrets": "SecretList", "configmaps": "ConfigMapList", "pods": "PodList", "nodes": "NodeList", "endpointslices": "EndpointSliceList"}[req.Resource]
	group := "v1"
	if req.Resource == "endpointslices" {
		group = "discovery.k8s.io/v1"
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": kind, "apiVersion": group, "metadata": map[string]any{"resourceVersion": version}, "items": items})
}

func (a *API) watch(w http.ResponseWriter, r *http.Request, req Request) {
	sel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush, _ := w.(http.Flusher)
	flush.Flush()
	send := func(kind string, of any) { _ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": of}) }
	go func() { // wakes the loop below when the client goes
		<-r.Context().Done()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.cond.Broadcast()
	}()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open++
	defer func() { a.open-- }()
	for hangups := a.hangups; ; a.cond.Wait() {
		if r.Context().Err() != nil || a.hangups != hangups {
			return
		}
		if from < a.floor {
			send("ERROR", failure(http.StatusGone, metav1.StatusReasonExpired, "too old resource version"))
			return
		}
		for _, e := range a.events {
			if e.version > from && req.takes(e.of, sel) {
				send(e.kind, e.of.json)
			}
		}
		from = a.version
		flush.Flush()
	}
}
