package envoytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/lab"
)

// patience is how long a healthy Envoy may take for one answer.
const patience = 30 * time.Second

// Proxy is a running Envoy that takes what it is given over delta ADS, and says of each response whether it takes it. It
// is not safe for concurrent use.
type Proxy struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	cmd    *exec.Cmd
	log    string
	ended  chan struct{}
	server *grpc.Server
	names  net.PacketConn // the name server, which knows no names
	agent  *grpc.Server   // hands out the identity of the workload
	stream chan discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer

	ads        discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	requests   chan *discoveryv3.DeltaDiscoveryRequest
	node       *corev3.Node                // what Envoy says of itself
	subscribed map[string]map[string]bool  // names asked for, by type
	offers     map[string]map[string]named // what is given as soon as it is asked for, by type and name
	given      []string                    // nonces of what was asked for and given
	answers    map[string]error            // by nonce; nil: taken
	nonce      int
}

// Start starts an Envoy as meshc bootstrap would have it. Without an Envoy the test is skipped, and fails with
// MESHC_REQUIRE_ALL=1.
func Start(t testing.TB) *Proxy {
	t.Helper()
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatalf("%v, and MESHC_REQUIRE_ALL=1 wants every test to run", err)
		}
		t.Skip(err)
	}
	p, err := Launch(envoy, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Launch starts an Envoy with its files in a folder and waits for it to ask for configuration. runtime changes values of the
// runtime that the bootstrap sets.
func Launch(envoy, dir string, runtime map[string]float64) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{log: filepath.Join(dir, "envoy.log"), ended: make(chan struct{}), server: grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20)),
		stream: make(chan discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer), requests: make(chan *discoveryv3.DeltaDiscoveryRequest),
		subscribed: map[string]map[string]bool{}, answers: map[string]error{}}
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(p.server, p)
	go p.server.Serve(l)
	config := filepath.Join(dir, "bootstrap.json")
	if err := p.beside(dir, config, l.Addr().String(), runtime); err != nil {
		p.stop()
		return nil, err
	}
	p.cmd = exec.Command(envoy, "--config-path", config, "--log-level", "warning", "--log-path", p.log, "--disable-hot-restart", "--concurrency", "1",
		"--drain-time-s", "0", "--drain-strategy", "immediate")
	if err := p.cmd.Start(); err != nil {
		p.stop()
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	if err := p.begin(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// beside starts what Envoy has beside it, and writes the file that says where.
func (p *Proxy) beside(dir, config, ads string, runtime map[string]float64) (err error) {
	if p.names, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return err
	}
	go denyNames(p.names)
	socket := filepath.Join(dir, "agent.sock")
	if p.agent, err = serveAgent(socket); err != nil {
		return err
	}
	return writeBootstrap(config, ads, socket, p.names.LocalAddr().(*net.UDPAddr), runtime)
}

// denyNames answers every question with "no such domain": clusters found by DNS are then ready at once.
func denyNames(c net.PacketConn) {
	var buf [4096]byte
	for {
		n, from, err := c.ReadFrom(buf[:])
		if err != nil {
			return
		}
		if n >= 4 {
			buf[2], buf[3] = buf[2]|0x80, 0x83
			c.WriteTo(buf[:n], from)
		}
	}
}

func writeBootstrap(file, ads, agent string, names *net.UDPAddr, runtime map[string]float64) error {
	b, err := bootstrap.New(bootstrap.Options{Name: "probe", Namespace: "default", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		XDSAddress: ads, AdminAddress: "127.0.0.1:0", AgentSocket: agent, NoServing: true})
	if err != nil {
		return err
	}
	fields := b.GetLayeredRuntime().GetLayers()[0].GetStaticLayer().GetFields()
	for k, v := range runtime {
		fields[k].Kind = number(v)
	}
	resolver, err := anypb.New(&caresv3.CaresDnsResolverConfig{Resolvers: []*corev3.Address{{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: names.IP.String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(names.Port)}}}}}})
	if err != nil {
		return err
	}
	b.TypedDnsResolverConfig = &corev3.TypedExtensionConfig{Name: "envoy.network.dns_resolver.cares", TypedConfig: resolver}
	text, err := bootstrap.JSON(b)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// DeltaAggregatedResources is the ADS server of the proxy.
func (p *Proxy) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	select {
	case p.stream <- s:
	case <-s.Context().Done():
		return nil
	}
	for {
		req, err := s.Recv()
		if err != nil {
			return nil
		}
		select {
		case p.requests <- req:
		case <-s.Context().Done():
			return nil
		}
	}
}

// begin waits for the stream and ends Envoy's first phase with no clusters and no listeners.
func (p *Proxy) begin() error {
	select {
	case p.ads = <-p.stream:
	case <-p.ended:
		return p.died()
	case <-time.After(patience):
		return errors.New("envoytest: Envoy does not come for its configuration")
	}
	for _, url := range []string{bundle.ClusterType, bundle.ListenerType} {
		if err := p.until(func() bool { return p.subscribed[url] != nil }); err != nil {
			return err
		}
		if err := p.change(url, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *Proxy) died() error {
	log, _ := os.ReadFile(p.log)
	return fmt.Errorf("%w: %v\n%s", ErrEnded, p.cmd.ProcessState, log[max(0, len(log)-4000):])
}

// ErrEnded says that Envoy itself has ended, and not that it refused something.
var ErrEnded = errors.New("envoytest: Envoy has ended")

// ErrNoAnswer says that Envoy neither took nor refused something in time: it waits for what never comes.
var ErrNoAnswer = errors.New("envoytest: no answer from Envoy")

// Node is what Envoy says of itself, its extensions included.
func (p *Proxy) Node() *corev3.Node { return p.node }

// until reads what Envoy says until a condition holds.
func (p *Proxy) until(done func() bool) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !done() {
		select {
		case r := <-p.requests:
			if err := p.take(r); err != nil {
				return err
			}
		case <-p.ended:
			return p.died()
		case <-deadline.C:
			return fmt.Errorf("%w; it asks for %v", ErrNoAnswer, p.subscribed)
		}
	}
	return nil
}

// take notes what a request says, and gives what it asks for and is on offer.
func (p *Proxy) take(r *discoveryv3.DeltaDiscoveryRequest) error {
	if r.Node != nil {
		p.node = r.Node
	}
	names := p.subscribed[r.TypeUrl]
	if names == nil {
		names = map[string]bool{}
		p.subscribed[r.TypeUrl] = names
	}
	var give []named
	for _, n := range r.ResourceNamesSubscribe {
		names[n] = true
		if o, ok := p.offers[r.TypeUrl][n]; ok {
			give = append(give, o)
		}
	}
	for _, n := range r.ResourceNamesUnsubscribe {
		delete(names, n)
	}
	if r.ResponseNonce != "" {
		p.answers[r.ResponseNonce] = nil
		if e := r.ErrorDetail; e != nil {
			p.answers[r.ResponseNonce] = &Refusal{Message: e.GetMessage()}
		}
	}
	if len(give) == 0 {
		return nil
	}
	nonce, err := p.send(r.TypeUrl, give, nil)
	p.given = append(p.given, nonce)
	return err
}

// Refusal is what Envoy has against a resource.
type Refusal struct{ Message string }

func (r *Refusal) Error() string { return "envoy does not take it: " + r.Message }

// named is a resource with the name under which it is asked for.
type named struct {
	name    string
	message proto.Message
}

// change sends one response and returns what Envoy says of it: nil, a *Refusal, or what went wrong.
func (p *Proxy) change(url string, add []named, remove []string) error {
	nonce, err := p.send(url, add, remove)
	if err != nil {
		return err
	}
	return p.answer(nonce)
}

// send sends one response.
func (p *Proxy) send(url string, add []named, remove []string) (nonce string, err error) {
	p.nonce++
	nonce = strconv.Itoa(p.nonce)
	resp := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: url, Nonce: nonce, SystemVersionInfo: nonce, RemovedResources: remove}
	for _, r := range add {
		value, err := proto.Marshal(r.message)
		if err != nil {
			return "", err
		}
		resp.Resources = append(resp.Resources, &discoveryv3.Resource{Name: r.name, Version: nonce, Resource: &anypb.Any{TypeUrl: url, Value: value}})
	}
	if err := p.ads.Send(resp); err != nil {
		return "", errors.Join(err, p.until(func() bool { return false }))
	}
	return nonce, nil
}

// answer waits for what Envoy says of a response.
func (p *Proxy) answer(nonce string) error {
	if err := p.until(func() bool { return p.answered(nonce) }); err != nil {
		return err
	}
	err := p.answers[nonce]
	delete(p.answers, nonce)
	return err
}

func (p *Proxy) answered(nonce string) bool {
	_, ok := p.answers[nonce]
	return ok
}

// Close ends Envoy.
func (p *Proxy) Close() {
	p.cmd.Process.Kill()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	select {
	case <-p.ended:
	case <-ctx.Done():
	}
	p.stop()
}

// stop ends what is beside Envoy.
func (p *Proxy) stop() {
	p.server.Stop()
	if p.agent != nil {
		p.agent.Stop()
	}
	if p.names != nil {
		_ = p.names.Close()
	}
}
