package mesh

import "testing"

// TestEntriesByName: only services found by DNS take WorkloadEntries that have a name or a socket for an address.
func TestEntriesByName(t *testing.T) {
	texts := []string{
		istio("WorkloadEntry", "shop", "name", "{address: vm.example.com, labels: {app: vm}}"),
		istio("WorkloadEntry", "shop", "socket", "{address: 'unix:///run/vm.sock', labels: {app: vm}}"),
		istio("WorkloadEntry", "shop", "ip", "{address: 10.3.0.1, labels: {app: vm}}"),
	}
	for _, c := range []struct {
		resolution string
		want       int
		findings   []string
	}{
		{"STATIC", 1, []string{"MESHC1242 WorkloadEntry/name spec.address", "MESHC1242 WorkloadEntry/socket spec.address"}},
		{"DNS", 3, nil},
		{"NONE", 1, nil},
	} {
		m, findings := link(t, append(texts, istio("ServiceEntry", "shop", "vm", "{hosts: [vm.example, more.example], location: MESH_INTERNAL, resolution: "+c.resolution+
			", workloadSelector: {labels: {app: vm}}, ports: [{number: 80, name: http, protocol: HTTP}]}"))...)
		wantCodes(t, findings, c.findings...)
		if got := len(m.serviceNamed(t, "vm.example").Ports[0].Endpoints); got != c.want {
			t.Errorf("%s has %d endpoints, want %d", c.resolution, got, c.want)
		}
	}
}
