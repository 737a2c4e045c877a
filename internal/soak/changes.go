//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/bundle"
)

// changes makes bundles that differ from the compiled one, each in another way, and endpoints that differ.
type changes struct {
	path  string // of the bundle
	base  *bundle.Bundle
	hosts []*bundle.Resource // virtual hosts with a route
	cds   []*bundle.Resource

	files []string // of endpoints
	texts [][]byte
}

func newChanges(path, observed, into string) (*changes, error) {
	b, err := bundle.Read(path)
	if err != nil {
		return nil, err
	}
	c := &changes{path: path, base: b}
	for _, r := range b.Resources {
		switch r.Type {
		case bundle.VirtualHostType:
			if vh := (&routev3.VirtualHost{}); proto.Unmarshal(r.Bytes, vh) == nil && len(vh.Routes) > 0 && vh.Routes[0].GetRoute() != nil {
				c.hosts = append(c.hosts, r)
			}
		case bundle.ClusterType:
			c.cds = append(c.cds, r)
		}
	}
	if len(c.hosts) == 0 || len(c.cds) == 0 {
		return nil, fmt.Errorf("%s: a bundle without virtual hosts or clusters has nothing to change", path)
	}
	if err := os.Mkdir(into, 0o755); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(observed, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		c.files, c.texts = append(c.files, filepath.Join(into, filepath.Base(f))), append(c.texts, text)
		if err := os.WriteFile(c.files[len(c.files)-1], text, 0o644); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// bundle puts one in place in which the timeout of a route differs, and with every tenth that of a cluster, too. No two are
// alike.
func (c *changes) bundle(n int) error {
	now := map[*bundle.Resource]*bundle.Resource{}
	odd := durationpb.New(5*time.Second + time.Duration(n)*time.Millisecond)
	host := c.hosts[n%len(c.hosts)]
	vh := &routev3.VirtualHost{}
	if err := proto.Unmarshal(host.Bytes, vh); err != nil {
		return err
	}
	vh.Routes[0].GetRoute().Timeout = odd
	if err := replace(now, host, vh); err != nil {
		return err
	}
	if n%10 == 0 {
		of := c.cds[n/10%len(c.cds)]
		m := &clusterv3.Cluster{}
		if err := proto.Unmarshal(of.Bytes, m); err != nil {
			return err
		}
		m.ConnectTimeout = odd
		if err := replace(now, of, m); err != nil {
			return err
		}
	}
	b := c.base
	in := bundle.Input{Selectors: b.Selectors, Workloads: b.Workloads, Source: b.Provenance.Source, Compiler: b.Provenance.Compiler, EnvoyMin: b.EnvoyMin, Plan: b.Plan, TrustDomain: b.TrustDomain, Services: b.Services}
	sets := map[*bundle.Set]*bundle.Set{}
	for _, class := range b.Classes {
		x := *class
		x.Sets = nil
		for _, s := range class.Sets {
			if sets[s] == nil {
				sets[s] = replaced(s, now)
			}
			x.Sets = append(x.Sets, sets[s])
		}
		in.Classes = append(in.Classes, x)
	}
	next, err := bundle.Seal(in)
	if err != nil {
		return err
	}
	return next.WriteDir(c.path)
}

func replace(now map[*bundle.Resource]*bundle.Resource, r *bundle.Resource, m proto.Message) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err
	}
	now[r] = &bundle.Resource{Type: r.Type, Name: r.Name, Bytes: b, Origins: r.Origins, Join: r.Join}
	return nil
}

// replaced is a set with other resources, or the same one where it has none of them.
func replaced(s *bundle.Set, now map[*bundle.Resource]*bundle.Resource) *bundle.Set {
	if !slices.ContainsFunc(s.Resources, func(r *bundle.Resource) bool { return now[r] != nil }) {
		return s
	}
	out := &bundle.Set{}
	for _, r := range s.Resources {
		if x := now[r]; x != nil {
			r = x
		}
		out.Resources = append(out.Resources, r)
	}
	return out
}

// endpoint gives one pod of a namespace another address. What was another before is as it was again.
func (c *changes) endpoint(n int) error {
	i := n % len(c.files)
	if before := (n - 1) % len(c.files); before != i {
		if err := put(c.files[before], c.texts[before]); err != nil {
			return err
		}
	}
	_, rest, ok := bytes.Cut(c.texts[i], []byte("podIP: "))
	address, _, _ := bytes.Cut(rest, []byte("\n"))
	if !ok || len(address) == 0 {
		return fmt.Errorf("%s has no pod with an address", c.files[i])
	}
	other := fmt.Sprintf("10.200.%d.%d", n/250%250, n%250+1)
	return put(c.files[i], regexp.MustCompile(`\b`+regexp.QuoteMeta(string(address))+`\b`).ReplaceAll(c.texts[i], []byte(other)))
}

// put replaces a file at once, so that nobody reads half of it.
func put(path string, text []byte) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(tmp, text, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
