package files

import (
	"cmp"
	"fmt"
	"path"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// rewriter makes sources of configuration that say ADS lead to files.
type rewriter struct {
	place   Place
	secrets map[string]bool // names that were asked for
	wanted  []want          // files that have to be in the set
}

// want is a file that a resource leads to.
type want struct{ file, what string }

// source is the ConfigSource for a file of the set that counts.
func (p Place) source(file string) *corev3.ConfigSource {
	return &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
		Path: path.Join(p.Directory, currentLink, file), WatchedDirectory: &corev3.WatchedDirectory{Path: p.Directory}}}}
}

// to leads a source to the file of a resource, if it says ADS.
func (r *rewriter) to(s **corev3.ConfigSource, folder, name string) bool {
	if (*s).GetAds() == nil {
		return false
	}
	f := file(folder, name)
	r.wanted = append(r.wanted, want{f, name})
	*s = r.place.source(f)
	return true
}

// message rewrites a message and all below it, and tells whether it is another now.
func (r *rewriter) message(m protoreflect.Message) (changed bool, err error) {
	switch t := m.Interface().(type) {
	case *corev3.ConfigSource:
		if t.GetAds() != nil {
			return false, fmt.Errorf("it asks a server for more configuration, which files cannot stand for")
		}
	case *anypb.Any:
		return r.packed(t)
	case *clusterv3.Cluster:
		if e := t.GetEdsClusterConfig(); e != nil {
			changed = r.to(&e.EdsConfig, endpointsFolder, cmp.Or(e.ServiceName, t.Name))
		}
	case *hcmv3.Rds:
		changed = r.to(&t.ConfigSource, routesFolder, t.RouteConfigName)
	case *tlsv3.SdsSecretConfig:
		if changed = r.to(&t.SdsConfig, secretsFolder, t.Name); changed {
			r.secrets[t.Name] = true
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		var c bool
		c, err = r.field(fd, v)
		changed = changed || c
		return err == nil
	})
	return changed, err
}

func (r *rewriter) field(fd protoreflect.FieldDescriptor, v protoreflect.Value) (changed bool, err error) {
	switch {
	case fd.IsMap():
		if fd.MapValue().Message() == nil {
			return false, nil
		}
		v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
			var c bool
			c, err = r.message(e.Message())
			changed = changed || c
			return err == nil
		})
	case fd.Message() == nil:
	case fd.IsList():
		for i := 0; i < v.List().Len() && err == nil; i++ {
			var c bool
			c, err = r.message(v.List().Get(i).Message())
			changed = changed || c
		}
	default:
		return r.message(v.Message())
	}
	return changed, err
}

// packed rewrites what an Any holds. One of a type that is not linked here stays as it is: it was not made by the compiler,
// and what Envoy does with it is between the two.
func (r *rewriter) packed(a *anypb.Any) (bool, error) {
	inner, err := a.UnmarshalNew()
	if err != nil {
		return false, nil
	}
	changed, err := r.message(inner.ProtoReflect())
	if err != nil || !changed {
		return false, err
	}
	return true, anypb.MarshalFrom(a, inner, proto.MarshalOptions{Deterministic: true})
}

// complete wants every file in the set that a resource leads to.
func (r *rewriter) complete(s Set) error {
	for _, w := range r.wanted {
		if s[w.file] == nil {
			return fmt.Errorf("a resource leads to %q, which the bundle does not have", w.what)
		}
	}
	return nil
}
