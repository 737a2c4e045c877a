//go:build linux

package lab

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/internal/kubetest"
)

// credential is a Secret of what the authority has issued into the folder.
func (p *pki) credential(folder, name string, keys map[string]string) *corev1.Secret {
	p.t.Helper()
	s := &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: name}, Data: map[string][]byte{}}
	for key, file := range keys {
		b, err := os.ReadFile(filepath.Join(p.dir, folder, file))
		if err != nil {
			p.t.Fatal(err)
		}
		s.Data[key] = b
	}
	return s
}

// A gateway has its certificates from Secrets of an API server, takes a new one while requests run, each on a connection
// of its own, and keeps what it has when the new one is no good and when the API server is gone.
func TestCredentialsOfAPI(t *testing.T) {
	require(t)
	p := newPKI(t)
	for folder, name := range map[string]string{"shop": "shop.example.com", "mutual": "mutual.example.com", "visitor": "visitor.example.com"} {
		p.issueTo(folder, name)
	}
	m := identified("enableTracing: false")
	m.pod("gateway", "ingress", "istio: ingress, app: ingress", "10.9.0.1")
	m.workload("sidecar", "web", "10.9.1.1", "10.96.9.1", "http:80:8080")
	m.add("front.yaml", `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: lab}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 8443, name: https-shop, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: shop}
    hosts: [shop.example.com]
  - port: {number: 8443, name: https-mutual, protocol: HTTPS}
    tls: {mode: MUTUAL, credentialName: mutual}
    hosts: [mutual.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: lab}
spec:
  hosts: [shop.example.com, mutual.example.com]
  gateways: [front]
  http:
  - route: [{destination: {host: web, port: {number: 80}}}]
`)
	tlsKeys := map[string]string{"tls.crt": "tls.crt", "tls.key": "tls.key"}
	var api *kubetest.API
	l := runSecured(t, m, Spec{
		Visitors: map[string]netip.Addr{"visitor": netip.MustParseAddr("203.0.113.9")},
		Beside: func(listen func(string) (net.Listener, error)) ([]string, error) {
			at, err := listen("127.0.0.1:16443")
			if err != nil {
				return nil, err
			}
			api = kubetest.On(t, at)
			api.Put("secrets", p.credential("shop", "shop", tlsKeys))
			api.Put("secrets", p.credential("mutual", "mutual", map[string]string{"cert": "tls.crt", "key": "tls.key"}))
			api.Put("secrets", p.credential("mutual", "mutual-cacert", map[string]string{"cacert": "ca.crt"}))
			return []string{"--kubernetes-secrets", "--kubeconfig", api.Kubeconfig()}, nil
		},
	})
	served := func(name, as string) (serial string, err error) {
		c := p.client(name, as)
		c.VerifyConnection = func(s tls.ConnectionState) error {
			serial = s.PeerCertificates[0].SerialNumber.String()
			return nil
		}
		r, err := over(l, c)
		if err == nil && (r.Status != 200 || r.Echo.Name != "web") {
			err = fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return serial, err
	}
	logged := func(words string) {
		t.Helper()
		eventually(t, func() error {
			if !strings.Contains(l.Log("server"), words) {
				return fmt.Errorf("not logged: %s", words)
			}
			return nil
		})
	}
	eventually(t, func() error { _, err := served("shop.example.com", ""); return err })
	eventually(t, func() error { _, err := served("mutual.example.com", "visitor"); return err })
	if _, err := served("mutual.example.com", ""); err == nil {
		t.Error("a client without a certificate is let in")
	}
	var load sync.WaitGroup
	stop, failed, answered := make(chan struct{}), []error(nil), 0
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := served("shop.example.com", ""); err != nil {
				failed = append(failed, err)
			}
			answered++
		}
	})
	var now string
	for range 5 {
		before, err := served("shop.example.com", "")
		if err != nil {
			t.Fatal(err)
		}
		p.issueTo("shop", "shop.example.com")
		api.Put("secrets", p.credential("shop", "shop", tlsKeys))
		eventually(t, func() error {
			if now, err = served("shop.example.com", ""); err == nil && now == before {
				err = fmt.Errorf("the old certificate is still in use")
			}
			return err
		})
	}
	wrong := p.credential("shop", "shop", tlsKeys)
	wrong.Data["tls.crt"] = p.credential("mutual", "mutual", tlsKeys).Data["tls.crt"]
	api.Put("secrets", wrong)
	logged("do not fit each other")
	api.Down(true)
	logged("cannot be reached")
	if still, err := served("shop.example.com", ""); err != nil || still != now {
		t.Errorf("the last good certificate is not in use: %v, %v", still, err)
	}
	close(stop)
	load.Wait()
	if len(failed) > 0 || answered < 50 {
		t.Errorf("%d requests, %d failed: %.2000v", answered, len(failed), failed)
	}
	for _, r := range api.Asked() {
		if r.Resource != "secrets" || r.Namespace != "lab" || r.Name != "shop" && r.Name != "mutual" && r.Name != "mutual-cacert" {
			t.Errorf("asked %+v", r)
		}
	}
}
