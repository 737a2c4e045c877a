package mesh

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/diag"
)

// labelAllocate governs the virtual addresses of ServiceEntries without addresses.
const labelAllocate = "networking.istio.io/enable-autoallocate-ip"

// allocatable is how many hosts can be given an address: the hosts of 240.240.0.0/16 but the first and the last.
const allocatable = 1<<16 - 2

// allocate gives each host of a ServiceEntry without addresses a virtual one, out of 240.240.0.0/16 and 2001:2::/48 as
// Istio does. What Istio keeps in the status of the object follows here from the name of the host and its namespace, so
// that it is the same in every compile and on every machine; an address that status.addresses records stays. Where two
// names come to the same address the younger object takes the next free one, and a finding says how to pin it.
func (m *Mesh) allocate() diag.List {
	var findings diag.List
	var waiting []*Service
	byHost := map[string]uint16{}
	owner := map[uint16]*Service{}
	for _, s := range m.Services {
		if !s.wantsAddress() {
			continue
		}
		key := s.Namespace + "/" + s.Hostname
		n, ok := s.recordedAddress()
		if !ok || owner[n] != nil && owner[n].Namespace+"/"+owner[n].Hostname != key {
			waiting = append(waiting, s)
			continue
		}
		byHost[key], owner[n] = n, s
	}
	for _, s := range waiting {
		key := s.Namespace + "/" + s.Hostname
		if _, ok := byHost[key]; ok {
			continue
		}
		if len(byHost) >= allocatable {
			findings.Add(s.Object.Finding(diag.Error, "MESHC1247", fmt.Sprintf("no virtual address is left for %s: %d hosts have one", s.Hostname, allocatable),
				"write spec.addresses, or set the label "+labelAllocate+": \"false\"", "spec", "hosts"))
			return findings
		}
		sum := sha256.Sum256([]byte(key))
		wanted := uint16(binary.BigEndian.Uint32(sum[:4])%allocatable) + 1
		n := wanted
		for owner[n] != nil {
			n = n%allocatable + 1
		}
		if first := owner[wanted]; first != nil {
			d := s.Object.Finding(diag.Info, "MESHC1246", fmt.Sprintf("the virtual address of %s would be that of %s, so it takes the next one, %s, which moves if the other host goes", s.Hostname, first.Hostname, virtualAddresses(n)[0]),
				"write spec.addresses to pin the address", "spec", "hosts")
			d.Related = []diag.Related{{Pos: first.Object.Pos("spec", "hosts"), Object: first.Object.Ref(), Message: "the other host"}}
			findings.Add(d)
		}
		byHost[key], owner[n] = n, s
	}
	for _, s := range m.Services {
		if n, ok := byHost[s.Namespace+"/"+s.Hostname]; ok && s.wantsAddress() {
			m.index.allocated[s.Namespace+"/"+s.Hostname] = virtualAddresses(n)
		}
	}
	return findings
}

// wantsAddress tells whether Istio would allocate an address for a service.
func (s *Service) wantsAddress() bool {
	return !s.Kubernetes && len(s.Addresses) == 0 && s.Resolution != Passthrough && !strings.HasPrefix(s.Hostname, "*") && s.Labels[labelAllocate] != "false"
}

// recordedAddress reads the address that istiod wrote into the status of the ServiceEntry for this host.
func (s *Service) recordedAddress() (uint16, bool) {
	status, _ := s.Object.Doc.Value["status"].(map[string]any)
	list, _ := status["addresses"].([]any)
	for _, e := range list {
		entry, _ := e.(map[string]any)
		host, _ := entry["host"].(string)
		value, _ := entry["value"].(string)
		a, err := netip.ParseAddr(value)
		if err != nil || !a.Is4() || host != "" && !strings.EqualFold(host, s.Hostname) {
			continue
		}
		if b := a.As4(); b[0] == 240 && b[1] == 240 {
			if n := binary.BigEndian.Uint16(b[2:]); n > 0 && n <= allocatable {
				return n, true
			}
		}
	}
	return 0, false
}

// virtualAddresses are the IPv4 and the IPv6 address of one allocation.
func virtualAddresses(n uint16) []string {
	v6 := [16]byte{0: 0x20, 1: 0x01, 3: 0x02}
	binary.BigEndian.PutUint16(v6[14:], n)
	return []string{netip.AddrFrom4([4]byte{240, 240, byte(n >> 8), byte(n)}).String(), netip.AddrFrom16(v6).String()}
}

// captured returns the services as proxies see them that answer name look-ups.
func (m *Mesh) captured(list []*Service) []*Service {
	out := slices.Clone(list)
	for i, s := range out {
		out[i] = m.index.captured.Get(s)
	}
	return out
}

// capture puts a service without an address under the one that was allocated for it.
func (m *Mesh) capture(s *Service) *Service {
	addresses := m.index.allocated[s.Namespace+"/"+s.Hostname]
	if addresses == nil || !s.wantsAddress() {
		return s
	}
	c := *s
	if c.Addresses = addresses; !m.IPv6 {
		c.Addresses = addresses[:1]
	}
	return &c
}
