// Package files writes what one proxy gets as files, for an Envoy that has no server at all: its bootstrap leads to files
// instead of ADS (envoy.config.core.v3.PathConfigSource), and Envoy reads them again when they are replaced by rename.
//
// A Set is the files of one state, by path. It is made from the resources of a class as a server would send them: virtual
// hosts inside their route configurations, every source of configuration that says ADS made to say the path of a file of the
// set. What has no such file (a resource that only a server can give) is an error that names it, and so is a secret whose
// files are not there: a listener would wait for it for ever, or take connections that it should refuse.
//
// Sets lie beside each other below a directory, and a link says which counts:
//
//	envoy.json                         bootstrap
//	current -> sets/0123456789abcdef   renamed over, which Envoy watches for
//	sets/…/clusters.json listeners.json routes/ endpoints/ secrets/
//
// Nobody acknowledges a file, so a change goes in three steps, each a whole set with a time to take effect (Steps): clusters
// of both states under the old routes; the new routes and listeners; the new state alone. A route never leads to a cluster
// that is not there. A process that is killed between them leaves a whole set in force, and the next one goes on from there.
package files

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
)

// Files and folders of a set.
const (
	clustersFile    = "clusters.json"
	listenersFile   = "listeners.json"
	routesFolder    = "routes"
	endpointsFolder = "endpoints"
	secretsFolder   = "secrets"
)

// Set is the files of one state, by slash-separated path.
type Set map[string][]byte

// ID names a set by its content: 16 hexadecimal digits.
func (s Set) ID() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(h, "%d %s %d\n", len(name), name, len(s[name]))
		h.Write(s[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// New makes the set of a class. where tells the files that secrets are in.
func New(b *bundle.Bundle, c *bundle.Class, where Place) (Set, error) {
	list, err := bundle.Inlined(c.Resources())
	if err != nil {
		return nil, err
	}
	r := &rewriter{place: where, secrets: map[string]bool{}}
	set, whole := Set{}, map[string][]proto.Message{clustersFile: nil, listenersFile: nil}
	for _, res := range list {
		m, err := res.Message()
		if err != nil {
			return nil, err
		}
		if _, err := r.message(m.ProtoReflect()); err != nil {
			return nil, fmt.Errorf("%s %q: %w", res.Type[strings.LastIndexByte(res.Type, '.')+1:], res.Name, err)
		}
		switch res.Type {
		case bundle.ClusterType:
			whole[clustersFile] = append(whole[clustersFile], m)
		case bundle.ListenerType:
			whole[listenersFile] = append(whole[listenersFile], m)
		case bundle.RouteConfigurationType:
			whole[file(routesFolder, res.Name)] = []proto.Message{m}
		case bundle.EndpointsType:
			whole[file(endpointsFolder, res.Name)] = []proto.Message{m}
		default:
			return nil, fmt.Errorf("%s %q: files have no place for resources of this type; a server sends them", res.Type, res.Name)
		}
	}
	for name := range r.secrets {
		s, err := where.secret(name)
		if err != nil {
			return nil, fmt.Errorf("secret %q: %w", name, err)
		}
		whole[file(secretsFolder, name)] = []proto.Message{s}
	}
	for name, list := range whole {
		a, err := answerOf(list)
		if err != nil {
			return nil, err
		}
		if set[name], err = a.text(); err != nil {
			return nil, err
		}
	}
	return set, r.complete(set)
}

// Hollow are the clusters of a class that have no endpoints in the bundle, by name: with a server they would come from what it
// sees, and from files they do not come.
func Hollow(c *bundle.Class) ([]string, error) {
	var out []string
	for _, r := range c.Resources() {
		if r.Type != bundle.EndpointsType {
			continue
		}
		m, err := r.Message()
		if err != nil {
			return nil, err
		}
		n := 0
		for _, l := range m.(*endpointv3.ClusterLoadAssignment).Endpoints {
			n += len(l.LbEndpoints)
		}
		if n == 0 {
			out = append(out, r.Name)
		}
	}
	return out, nil
}

// file is the path of the file for a resource that has one of its own. The name is readable, and the digest of the whole
// name keeps those apart that look alike.
func file(folder, name string) string {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, name)
	sum := sha256.Sum256([]byte(name))
	return path.Join(folder, readable[:min(len(readable), 100)]+"-"+hex.EncodeToString(sum[:4])+".json")
}
