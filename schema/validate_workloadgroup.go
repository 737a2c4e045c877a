package schema

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// workloadGroup checks what relates the fields of a WorkloadGroup. Its machines have addresses of their own, so the template
// needs none.
func (r *rules) workloadGroup(g *networking.WorkloadGroup) {
	r.labels(at{"metadata", "labels"}, g.GetMetadata().GetLabels())
	t, p := g.GetTemplate(), at{"template"}
	if path, ok := strings.CutPrefix(t.GetAddress(), "unix://"); ok {
		r.socketPath(p.to("address"), path, t.Address)
		if len(t.Ports) > 0 {
			r.bad(p.to("ports"), "Remove ports.", "a unix socket has no ports")
		}
	}
	r.portNames(p.to("ports"), t.GetPorts())
	r.probe(at{"probe"}, g.Probe)
}

func (r *rules) probe(p at, c *networking.ReadinessProbe) {
	if c == nil {
		return
	}
	switch m := c.HealthCheckMethod.(type) {
	case *networking.ReadinessProbe_HttpGet:
		if s := m.HttpGet.GetScheme(); s != "" && s != "HTTP" && s != "HTTPS" {
			r.bad(p.to("httpGet", "scheme"), "Use HTTP or HTTPS.", "%q is not a scheme for a probe", s)
		}
	case *networking.ReadinessProbe_Exec:
		if len(m.Exec.GetCommand()) == 0 {
			r.bad(p.to("exec", "command"), "Name the command.", "the probe runs no command")
		}
	case nil:
		r.bad(p, "Add httpGet, tcpSocket, exec or grpc, or remove probe.", "the probe does not say what to ask")
	}
}

// socketPath checks what stands behind unix://.
func (r *rules) socketPath(p at, path, address string) {
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") || strings.HasSuffix(path, "/") {
		r.bad(p, "Write unix:///path or unix://@name.", "%q is not the absolute path of a socket", address)
	}
}

// portNames checks ports by their names.
func (r *rules) portNames(p at, ports map[string]uint32) {
	for _, k := range keys(ports) {
		if !portName.MatchString(k) {
			r.bad(p.to(k), "Use letters, digits and dashes.", "%q is not a name for a port", k)
		}
		r.port(p.to(k), ports[k])
	}
}
