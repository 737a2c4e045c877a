package golden

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/envoytest"
	"github.com/meshc/meshc/internal/lab"
)

// validation collects what the proxies of all cases get, each listener and cluster once, and asks a real Envoy about it
// in a few batches: it would take as long to start as to judge.
type validation struct {
	batches []*batch
	seen    map[string]bool // bytes of listeners and clusters that are in a batch
}

// batch is one bootstrap. Its listeners have names and ports of their own, since several proxies share it.
type batch struct {
	boot      *bootstrapv3.Bootstrap
	clusters  map[string]string // name to bytes
	secrets   map[string]bool
	from      []string
	listeners int
}

func newValidation() *validation { return &validation{seen: map[string]bool{}} }

// add takes the proxies of a bundle in.
func (v *validation) add(t *testing.T, file string, b *bundle.Bundle) {
	t.Helper()
	for _, c := range b.Classes {
		text, err := b.XDS(c)
		if err != nil {
			t.Fatal(err)
		}
		r, err := envoytest.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		boot, err := envoytest.Bootstrap(r)
		if err != nil {
			t.Fatal(err)
		}
		v.put(boot, file+", "+c.ID)
	}
}

func raw(m proto.Message) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// put adds what is new in a bootstrap to the last batch, or to a new one where two clusters of one name differ.
func (v *validation) put(boot *bootstrapv3.Bootstrap, from string) {
	static := boot.GetStaticResources()
	var listeners []*listenerv3.Listener
	for _, l := range static.GetListeners() {
		if key := "listener " + raw(l); !v.seen[key] {
			v.seen[key] = true
			listeners = append(listeners, l)
		}
	}
	fresh := slices.ContainsFunc(static.GetClusters(), func(c *clusterv3.Cluster) bool { return !v.seen["cluster "+raw(c)] })
	if len(listeners) == 0 && !fresh {
		return
	}
	i := slices.IndexFunc(v.batches, func(b *batch) bool {
		return !slices.ContainsFunc(static.GetClusters(), func(c *clusterv3.Cluster) bool {
			have, ok := b.clusters[c.GetName()]
			return ok && have != raw(c)
		})
	})
	if i < 0 {
		i = len(v.batches)
		v.batches = append(v.batches, &batch{boot: &bootstrapv3.Bootstrap{Node: boot.GetNode(), StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}, clusters: map[string]string{}, secrets: map[string]bool{}})
	}
	b := v.batches[i]
	b.from = append(b.from, from)
	into := b.boot.StaticResources
	for _, c := range static.GetClusters() {
		v.seen["cluster "+raw(c)] = true
		if _, ok := b.clusters[c.GetName()]; !ok {
			b.clusters[c.GetName()] = raw(c)
			into.Clusters = append(into.Clusters, c)
		}
	}
	for _, l := range listeners {
		into.Listeners = append(into.Listeners, b.apart(l))
	}
	for _, s := range static.GetSecrets() {
		if !b.secrets[secretKey(s)] {
			b.secrets[secretKey(s)] = true
			into.Secrets = append(into.Secrets, s)
		}
	}
}

func secretKey(s *tlsv3.Secret) string { return fmt.Sprintf("%s %T", s.GetName(), s.GetType()) }

// apart gives a listener a name and an address that no other listener of the batch has.
func (b *batch) apart(l *listenerv3.Listener) *listenerv3.Listener {
	l = proto.Clone(l).(*listenerv3.Listener)
	address := func(a *corev3.Address) {
		if s := a.GetSocketAddress(); s != nil {
			b.listeners++
			s.PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: uint32(1024 + b.listeners)}
		}
	}
	address(l.GetAddress())
	for _, a := range l.GetAdditionalAddresses() {
		address(a.GetAddress())
	}
	l.Name = fmt.Sprintf("%s (%s)", l.GetName(), b.from[len(b.from)-1])
	return l
}

// run asks Envoy.
func (v *validation) run(t *testing.T) {
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatalf("%v, and MESHC_REQUIRE_ALL=1 wants every test to run", err)
		}
		t.Skip(err)
	}
	for _, b := range v.batches {
		if err := envoytest.Run(envoy, t.TempDir(), b.boot); err != nil {
			t.Errorf("one of\n  %s\n%v", strings.Join(b.from, "\n  "), err)
		}
	}
	t.Logf("%d bootstraps", len(v.batches))
}
