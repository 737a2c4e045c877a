package change

import (
	"cmp"
	"slices"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

// atoms are the values that the access rules of a server name.
type atoms struct {
	paths, methods, identities []string
	headers                    []header
}

// sort gives the atoms an order that maps in messages do not have.
func (a *atoms) sort() {
	slices.Sort(a.paths)
	slices.Sort(a.methods)
	slices.Sort(a.identities)
	slices.SortFunc(a.headers, func(x, y header) int { return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.value, y.value)) })
}

// note keeps a value once.
func note[T comparable](list *[]T, v T) {
	if !slices.Contains(*list, v) {
		*list = append(*list, v)
	}
}

// collect gathers the atoms of one message. Conditions without a value are listed by conditions.
func (a *atoms) collect(m proto.Message) {
	switch x := m.(type) {
	case *rbacv3.Permission:
		if path, named, why := rulePath(x); named && why == "" {
			note(&a.paths, path)
		}
	case *rbacv3.Principal:
		if id := identityText(x.GetAuthenticated().GetPrincipalName()); id != "" {
			note(&a.identities, id)
		}
	case *routev3.HeaderMatcher:
		switch s, present, why := sampleHeader(x); {
		case why != "" || !present:
		case x.GetName() == ":method":
			note(&a.methods, s)
		case !strings.HasPrefix(x.GetName(), ":"):
			note(&a.headers, header{x.GetName(), s})
		}
	}
}

// each visits a message and all in it, packed ones too. It stops at an error.
func each(m protoreflect.Message, visit func(proto.Message) error) (err error) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			return nil //nolint:nilerr // of a type that is not linked in: nothing is read in it
		}
		return each(inner.ProtoReflect(), visit)
	}
	if err := visit(m.Interface()); err != nil {
		return err
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
				err = each(e.Message(), visit)
				return err == nil
			})
		case fd.IsMap() || fd.Message() == nil:
		case fd.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = each(v.List().Get(i).Message(), visit)
			}
		default:
			err = each(v.Message(), visit)
		}
		return err == nil
	})
	return err
}

// rulePath returns a path that a permission names, or why no request can have it; named is false where it names none.
func rulePath(p *rbacv3.Permission) (path string, named bool, why string) {
	switch r := p.GetRule().(type) {
	case *rbacv3.Permission_UrlPath:
		path, why = sampleString(r.UrlPath.GetPath())
		path = "/" + strings.TrimPrefix(path, "/")
	case *rbacv3.Permission_UriTemplate:
		var c uritemplatev3.UriTemplateMatchConfig
		if err := r.UriTemplate.GetTypedConfig().UnmarshalTo(&c); err != nil {
			return "", true, "the condition is of a kind that is not known here"
		}
		path = sampleTemplate(c.GetPathTemplate())
	default:
		return "", false, ""
	}
	if why == "" {
		why = pathOnTheWire(path)
	}
	return path, true, why
}

// identityText is the part of an identity that a workload can be told by: /ns/NAMESPACE/ or a whole name; "" where there
// is none.
func identityText(m *matcherv3.StringMatcher) string {
	if e := m.GetExact(); e != "" {
		return e
	}
	for _, part := range []string{m.GetSafeRegex().GetRegex(), m.GetSuffix(), m.GetPrefix()} {
		if i := strings.Index(part, "/ns/"); i >= 0 {
			rest := part[i+len("/ns/"):]
			ns, _, _ := strings.Cut(rest, "/")
			return "/ns/" + strings.ReplaceAll(ns, `\-`, "-") + "/"
		}
	}
	return ""
}

// server finds witnesses for the inbound side of a class: each port that a service leads to, with the paths, methods and
// headers that its rules name, from callers that they name, one that they do not name, and one without a proxy.
func (f *finder) server(p pair, h held) error {
	a := &atoms{paths: []string{"/"}, methods: []string{"GET"}}
	for _, r := range h.states() {
		m, err := r.Message()
		if err != nil {
			return err
		}
		if err := each(m.ProtoReflect(), func(x proto.Message) error { a.collect(x); return nil }); err != nil {
			return err
		}
	}
	a.sort()
	callers, met := f.callers(p.head, a)
	if err := f.conditions(h, met); err != nil {
		return err
	}
	for _, svc := range f.servicesOf(p.head) {
		for _, caller := range append(callers, "outside") {
			at := place{"tcp", svc.host, uint16(svc.port)}
			if !svc.http {
				f.add(at.request(caller, "", ""))
				continue
			}
			at.scheme = "http"
			for _, path := range a.paths {
				for _, m := range a.methods {
					f.add(at.request(caller, m, path))
				}
				for _, h := range a.headers {
					f.add(at.request(caller, "GET", path, h))
				}
			}
		}
	}
	return nil
}

// callers picks workloads that both bundles have: one for each identity or namespace that a rule names, and the first one
// that none names. It tells which identities have one.
func (f *finder) callers(server *bundle.Class, a *atoms) (out []string, met map[string]bool) {
	met = map[string]bool{}
	other := ""
	for _, w := range f.head.Workloads {
		c := f.head.Class(w.Class)
		if c == nil || c.Gateway || w.Class == server.ID || !slices.ContainsFunc(f.base.Workloads, func(o bundle.Workload) bool { return o.Namespace == w.Namespace && o.Name == w.Name }) {
			continue
		}
		id := "/ns/" + w.Namespace + "/sa/" + cmp.Or(w.ServiceAccount, "default")
		hit := false
		for _, i := range a.identities {
			if strings.HasSuffix(i, id) || strings.HasPrefix(id, i) {
				hit = true
				if !met[i] {
					met[i] = true
					note(&out, w.Namespace+"/"+w.Name)
				}
			}
		}
		if !hit && other == "" {
			other = w.Namespace + "/" + w.Name
		}
	}
	if other != "" {
		note(&out, other)
	}
	return out, met
}

// target is a port of a service.
type target struct {
	host string
	port uint32
	http bool
}

// servicesOf lists the ports of the services that lead to the workloads of a class.
func (f *finder) servicesOf(c *bundle.Class) []target {
	var out []target
	hosts := map[string]bool{} // virtual hosts: what is spoken is HTTP
	for _, r := range f.head.Resources {
		if r.Type == bundle.VirtualHostType {
			_, name := names.ParseVirtualHost(r.Name)
			hosts[name] = true
		}
	}
	for _, r := range f.head.Resources {
		s := r.Selector
		if r.Type != bundle.ClusterType || s == nil || len(s.Workloads) == 0 || len(s.Labels) > 0 {
			continue
		}
		selects := slices.ContainsFunc(f.head.Workloads, func(w bundle.Workload) bool {
			if w.Class != c.ID || w.Namespace != s.Namespace {
				return false
			}
			for k, v := range s.Workloads {
				if w.Labels[k] != v {
					return false
				}
			}
			return true
		})
		t := target{s.Hostname, s.Port, hosts[names.HostRoutes(s.Hostname, s.Port)]}
		if selects && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}
