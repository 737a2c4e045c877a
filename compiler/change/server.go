package change

import (
	"fmt"
	"slices"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
)

// atoms are the values that the access rules of a server name.
type atoms struct {
	paths, methods, headers, identities []string
}

func note(list *[]string, s string, ok bool) {
	if ok && s != "" && !slices.Contains(*list, s) && !strings.ContainsAny(s, " '\"\t\n") {
		*list = append(*list, s)
	}
}

// collect gathers the atoms of a message and all in it.
func (a *atoms) collect(m protoreflect.Message) {
	switch x := m.Interface().(type) {
	case *anypb.Any:
		if inner, err := x.UnmarshalNew(); err == nil {
			a.collect(inner.ProtoReflect())
		}
		return
	case *rbacv3.Permission:
		if p := x.GetUrlPath().GetPath(); p != nil {
			s, ok := sampleString(p)
			note(&a.paths, "/"+strings.TrimPrefix(s, "/"), ok)
		}
		if t := x.GetUriTemplate(); t != nil {
			var c uritemplatev3.UriTemplateMatchConfig
			if t.GetTypedConfig().UnmarshalTo(&c) == nil {
				note(&a.paths, sampleTemplate(c.GetPathTemplate()), true)
			}
		}
	case *rbacv3.Principal:
		if n := x.GetAuthenticated().GetPrincipalName(); n != nil {
			note(&a.identities, identityText(n), true)
		}
	case *routev3.HeaderMatcher:
		switch s, present, ok := sampleHeader(x); {
		case x.GetName() == ":method":
			note(&a.methods, s, ok)
		case present && !strings.HasPrefix(x.GetName(), ":"):
			note(&a.headers, x.GetName()+"="+s, ok)
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool { a.collect(e.Message()); return true })
		case fd.IsMap() || fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				a.collect(v.List().Get(i).Message())
			}
		default:
			a.collect(v.Message())
		}
		return true
	})
}

// identityText is the part of an identity that a workload can be told by: /ns/NAMESPACE/ or a whole name.
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
	a := &atoms{}
	for _, r := range h.states() {
		m, err := r.Message()
		if err != nil {
			return err
		}
		a.collect(m.ProtoReflect())
	}
	a.paths, a.methods = append([]string{"/"}, a.paths...), append([]string{"GET"}, a.methods...)
	callers := append(f.callers(p.head, a), "outside")
	for _, svc := range f.servicesOf(p.head) {
		for _, caller := range callers {
			if !svc.http {
				f.add(fmt.Sprintf("tcp://%s:%d from %s", svc.host, svc.port, caller))
				continue
			}
			at := fmt.Sprintf("http://%s:%d", svc.host, svc.port)
			for _, path := range a.paths {
				for _, m := range a.methods {
					f.add(request{at: at, path: path, method: m}.text(caller))
				}
				for _, header := range a.headers {
					f.add(request{at: at, path: path, headers: []string{header}}.text(caller))
				}
			}
		}
	}
	return nil
}

// callers picks workloads that both bundles have: one for each identity or namespace that a rule names, and the first one
// that none names.
func (f *finder) callers(server *bundle.Class, a *atoms) []string {
	var out []string
	named := map[string]bool{}
	other := ""
	for _, w := range f.head.Workloads {
		c := f.head.Class(w.Class)
		if c == nil || c.Gateway || w.Class == server.ID || !slices.ContainsFunc(f.base.Workloads, func(o bundle.Workload) bool { return o.Namespace == w.Namespace && o.Name == w.Name }) {
			continue
		}
		account := w.ServiceAccount
		if account == "" {
			account = "default"
		}
		id := "/ns/" + w.Namespace + "/sa/" + account
		hit := false
		for _, i := range a.identities {
			if strings.HasSuffix(i, id) || strings.HasPrefix(id, i) {
				hit = true
				if !named[i] {
					named[i] = true
					note(&out, w.Namespace+"/"+w.Name, true)
				}
			}
		}
		if !hit && other == "" {
			other = w.Namespace + "/" + w.Name
		}
	}
	note(&out, other, true)
	return out
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
			_, name := bundle.SplitVirtualHost(r.Name)
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
		t := target{s.Hostname, s.Port, hosts[fmt.Sprintf("%s:%d", s.Hostname, s.Port)]}
		if selects && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}
