package mesh

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

func entryService(host string, change func(*Service)) *Service {
	s := &Service{
		Object: &schema.Object{Kind: "ServiceEntry", Namespace: "app", Name: host, Doc: &source.Document{}}, Namespace: "app", Hostname: host,
		Resolution: DNS, Spec: &networking.ServiceEntry{},
	}
	if change != nil {
		change(s)
	}
	return s
}

func allocated(services ...*Service) (*Mesh, int) {
	m := &Mesh{Services: services}
	m.index = newIndex(m)
	return m, len(m.allocate())
}

func TestAllocateIsStable(t *testing.T) {
	m, n := allocated(entryService("a.example.com", nil))
	alone := m.index.allocated["app/a.example.com"]
	if n != 0 || len(alone) != 2 || !netip.MustParsePrefix("240.240.0.0/16").Contains(netip.MustParseAddr(alone[0])) ||
		!netip.MustParsePrefix("2001:2::/48").Contains(netip.MustParseAddr(alone[1])) {
		t.Fatalf("addresses %v, findings %d", alone, n)
	}
	var more []*Service
	for i := range 50 {
		more = append(more, entryService(fmt.Sprintf("h%d.example.com", i), nil))
	}
	m, _ = allocated(append(more, entryService("a.example.com", nil))...)
	if got := m.index.allocated["app/a.example.com"]; got[0] != alone[0] {
		t.Errorf("other hosts moved the address from %s to %s", alone[0], got[0])
	}
	seen := map[string]bool{}
	for _, a := range m.index.allocated {
		if seen[a[0]] {
			t.Errorf("%s is given twice", a[0])
		}
		seen[a[0]] = true
	}
}

func TestAllocateLeavesOut(t *testing.T) {
	for name, change := range map[string]func(*Service){
		"addresses": func(s *Service) { s.Addresses = []string{"10.0.0.1"} },
		"NONE":      func(s *Service) { s.Resolution = Passthrough },
		"wildcard":  func(s *Service) { s.Hostname = "*.example.com" },
		"label":     func(s *Service) { s.Labels = map[string]string{labelAllocate: "false"} },
		"service":   func(s *Service) { s.Kubernetes = true },
	} {
		if m, _ := allocated(entryService("a.example.com", change)); len(m.index.allocated) != 0 {
			t.Errorf("%s: %v", name, m.index.allocated)
		}
	}
}

func TestAllocateKeepsStatus(t *testing.T) {
	recorded := func(s *Service) {
		s.Object.Doc.Value = map[string]any{"status": map[string]any{"addresses": []any{
			map[string]any{"host": "b.example.com", "value": "240.240.0.8"},
			map[string]any{"host": "a.example.com", "value": "2001:2::9"},
			map[string]any{"host": "a.example.com", "value": "240.240.0.9"},
		}}}
	}
	m, _ := allocated(entryService("a.example.com", recorded))
	if got := m.index.allocated["app/a.example.com"][0]; got != "240.240.0.9" {
		t.Errorf("recorded address is not kept: %s", got)
	}
}

func TestAllocateCollision(t *testing.T) {
	place := func(host string) uint32 {
		sum := sha256.Sum256([]byte("app/" + host))
		return binary.BigEndian.Uint32(sum[:4]) % allocatable
	}
	first := map[uint32]string{}
	for i := 0; ; i++ {
		host := fmt.Sprintf("h%d.example.com", i)
		other, ok := first[place(host)]
		if !ok {
			first[place(host)] = host
			continue
		}
		m, n := allocated(entryService(other, nil), entryService(host, nil))
		alone, _ := allocated(entryService(other, nil))
		a, b := m.index.allocated["app/"+other][0], m.index.allocated["app/"+host][0]
		if n != 1 || a == b || a != alone.index.allocated["app/"+other][0] {
			t.Errorf("%s has %s, %s has %s, findings %d", other, a, host, b, n)
		}
		return
	}
}

func TestCapturedServices(t *testing.T) {
	s := entryService("a.example.com", nil)
	m, _ := allocated(s)
	got := m.captured([]*Service{s})
	if len(got[0].Addresses) != 1 || s.Addresses != nil || m.captured([]*Service{s})[0] != got[0] {
		t.Errorf("%v", got[0].Addresses)
	}
	if m.IPv6 = true; len(m.capture(s).Addresses) != 2 {
		t.Error("a mesh with IPv6 wants both addresses")
	}
}

// TestAllocateCollides: of two hosts with one hash the younger takes the next address, and both are told; the last address is
// given to nobody twice.
func TestAllocateCollides(t *testing.T) {
	wanted, services := map[string]int{}, []*Service{}
	for i := 0; len(services) == 0; i++ {
		s := entryService(fmt.Sprintf("c%d.example.com", i), nil)
		m, _ := allocated(s)
		a := m.index.allocated["app/"+s.Hostname][0]
		if j, ok := wanted[a]; ok {
			services = []*Service{entryService(fmt.Sprintf("c%d.example.com", j), nil), s}
		}
		wanted[a] = i
	}
	m := &Mesh{Services: services}
	m.index = newIndex(m)
	if found := m.allocate(); len(found) != 1 || found[0].Code != "MESHC1246" || len(found[0].Related) != 1 {
		t.Errorf("%v", found)
	}
	services = nil
	for i := range allocatable + 1 {
		services = append(services, entryService(fmt.Sprintf("h%d.example.com", i), nil))
	}
	m = &Mesh{Services: services}
	m.index = newIndex(m)
	if found := m.allocate(); len(found) == 0 || found[len(found)-1].Code != "MESHC1247" {
		t.Errorf("%d findings, and none says that no address is left", len(found))
	}
}
