package server

import (
	"maps"
	"reflect"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
)

// endpointSnapshot is what a source of endpoints saw last; the zero value: nothing yet. It is immutable; a source makes a new one
// of what changed.
type endpointSnapshot struct {
	namespaces map[string]endpoint.Objects
	source     endpoint.Source
}

// joiner makes the endpoints of a bundle's clusters of what a source sees. Nothing is made before a class that is
// connected needs it, and each thing once: a service's endpoints for all clusters, a ClusterLoadAssignment for all
// classes. It is guarded by the generation.
type joiner struct {
	plan     *endpoint.Plan
	snapshot *endpointSnapshot
	seen     map[string]*endpoint.Seen // by namespace
	services map[int]*service
	clients  map[placed]*endpoint.Client
	made     map[*bundle.Resource]map[*endpoint.Client]made
}

// service is a service of the plan as it is seen.
type service struct {
	lists [][]*endpoint.Endpoint // by port
	known bool                   // false: the source does not know it, lists are those declared
}

// placed is a client of the plan at a place.
type placed struct {
	client int
	place  string
}

// made is a ClusterLoadAssignment.
type made struct {
	bytes  []byte
	digest bundle.Digest
}

func newJoiner(plan *endpoint.Plan, snapshot *endpointSnapshot) *joiner {
	return &joiner{plan: plan, snapshot: snapshot, seen: map[string]*endpoint.Seen{}, services: map[int]*service{}, clients: map[placed]*endpoint.Client{},
		made: map[*bundle.Resource]map[*endpoint.Client]made{}}
}

// joins tells whether the endpoints of the resource can change.
func (j *joiner) joins(r *bundle.Resource) bool { return j != nil && r.Join != nil }

// byPlace tells whether the endpoints depend on the place of the proxy.
func (j *joiner) byPlace(r *bundle.Resource) bool {
	c := j.plan.Clients[r.Join.Client]
	return c.Policy.ByLocality() || c.Policy.ByLabels()
}

// client returns how a proxy at a place sees endpoints: its own word counts, since the compiler knew the places of the
// input only.
func (j *joiner) client(r *bundle.Resource, place string) *endpoint.Client {
	c := j.plan.Clients[r.Join.Client]
	if place == "" || !j.byPlace(r) {
		return c
	}
	key := placed{r.Join.Client, place}
	if at := j.clients[key]; at != nil {
		return at
	}
	at := *c
	if c.Policy.ByLocality() {
		at.Locality = place
	}
	if c.Policy.ByLabels() {
		labels := maps.Clone(c.Labels)
		for _, l := range []string{endpoint.LabelRegion, endpoint.LabelZone, endpoint.LabelSubzone} {
			delete(labels, l)
		}
		at.Labels = c.Policy.Narrow(endpoint.Topology(labels, place, "", "", ""))
	}
	j.clients[key] = &at
	return &at
}

// service returns what is seen of a service.
func (j *joiner) service(i int) *service {
	if s := j.services[i]; s != nil {
		return s
	}
	s := j.look(i)
	j.services[i] = s
	return s
}

func (j *joiner) look(i int) *service {
	svc := j.plan.Services[i]
	seen := j.seen[svc.Namespace]
	if seen == nil {
		seen = j.plan.Site.See(j.snapshot.namespaces[svc.Namespace], j.snapshot.source)
		j.seen[svc.Namespace] = seen
	}
	if lists, known := seen.Endpoints(svc); known {
		return &service{lists: lists, known: true}
	}
	return &service{lists: j.plan.Site.Declare(svc)}
}

// known tells whether the source knows all services behind the resource that a cluster can tell of.
func (j *joiner) known(r *bundle.Resource) bool {
	for _, i := range r.Join.Services {
		if j.plan.Services[i].Live() && !j.service(i).known {
			return false
		}
	}
	return true
}

// make returns the endpoints for proxies at a place: joined where the source knows the service, else as compiled.
func (j *joiner) make(r *bundle.Resource, place string) made {
	if !j.known(r) {
		return made{r.Bytes, r.Digest}
	}
	c := j.client(r, place)
	if m, ok := j.made[r][c]; ok {
		return m
	}
	m := made{r.Bytes, r.Digest}
	cla := j.plan.LoadAssignment(r.Name, r.Join, c, func(i int) [][]*endpoint.Endpoint { return j.service(i).lists })
	if b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(cla); err == nil { // names that are not UTF-8 do not come out of JSON
		m = made{b, bundle.ResourceDigest(r.Type, r.Name, b)}
	}
	if j.made[r] == nil {
		j.made[r] = map[*endpoint.Client]made{}
	}
	j.made[r][c] = m
	return m
}

// update takes what a source sees now and returns the services whose endpoints are others. namespaces are those that have
// changed; nil: any may have.
func (j *joiner) update(next *endpointSnapshot, namespaces map[string]bool) map[int]bool {
	all := namespaces == nil || next.source.Slices != j.snapshot.source.Slices || next.source.Pods != j.snapshot.source.Pods ||
		!maps.Equal(next.source.Nodes, j.snapshot.source.Nodes)
	j.snapshot = next
	if all {
		clear(j.seen)
	}
	for ns := range namespaces {
		delete(j.seen, ns)
	}
	changed := map[int]bool{}
	for i, before := range j.services {
		if !all && !namespaces[j.plan.Services[i].Namespace] {
			continue
		}
		now := j.look(i)
		if now.known == before.known && reflect.DeepEqual(now.lists, before.lists) {
			continue
		}
		j.services[i] = now
		changed[i] = true
	}
	return changed
}

// missing counts the endpoints that are left out because their Pods are not known.
func (j *joiner) missing() (n int) {
	for _, s := range j.seen {
		n += s.Missing
	}
	return n
}

// place is where a node is, as far as it counts.
func place(n bundle.Node) string { return strings.Trim(n.Locality, "/") }
