package compiler

import (
	"fmt"
	"slices"
	"strconv"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
)

// lostFinding says that a reference leads nowhere for a class, at the object behind it, or at the patch that removed what it
// is to.
func (out *loweredSets) lostFinding(pass *validate.Pass, u use, c *mesh.Class) diag.Diagnostic {
	r, path := u.resource, pass.Where(u.resource.Message, u.reference)
	d := diag.Diagnostic{Code: codeUnresolved, Severity: diag.Error,
		Message: fmt.Sprintf("%s: the %s %s names the %s %s", consequence(u.reference.Kind), r.Type, r.Name, u.reference.Kind, strconv.Quote(u.reference.Name)),
		Help:    "Name what the proxy has, as `meshc bundle xds` shows it, or let it have what is named."}
	if path != "" {
		d.Message += " at " + path
	}
	blame(&d, r, path, r.Before != nil && pass.Where(r.Before.Message, u.reference) != "")
	if by := out.removed[u.reference.Name]; u.reference.Kind == validate.ToCluster && len(by) > 0 {
		d.Related = append([]diag.Related{{Pos: d.Pos, Object: d.Object, Message: "needs it"}}, d.Related...)
		d.Pos, d.Object, d.Field = by[0].Pos, by[0].Object, by[0].Field
		d.Message += ", which the patch removes"
		d.Help = "Keep what is named, or patch what names it, too."
		return d
	}
	d.Message += ", which the proxies of class " + c.ID + " do not get"
	u.explain(&d, c)
	return d
}

// explain says why a class lacks the cluster of a service.
func (u use) explain(d *diag.Diagnostic, c *mesh.Class) {
	n, ok := names.ParseCluster(u.reference.Name)
	if u.reference.Kind != validate.ToCluster || !ok || n.Inbound {
		return
	}
	svc := c.Scope.View().Service(n.Host)
	if svc == nil {
		d.Message += ": they do not see " + n.Host
		d.Help = "Look at the exportTo of the service and of what routes to it, and at the Sidecar of the callers."
		return
	}
	if svc.HasPort(n.Port) == nil {
		d.Message += ": " + n.Host + " has no port " + strconv.Itoa(int(n.Port))
		d.Help = "Name a port of the service in destination.port."
		return
	}
	rule := c.Scope.View().Rule(svc)
	if n.Subset == "" || rule != nil && slices.ContainsFunc(rule.Spec.GetSubsets(), func(s *networking.Subset) bool { return s.GetName() == n.Subset }) {
		return
	}
	d.Help = "Look at the exportTo and workloadSelector of the DestinationRule that has the subset, and at others of the host: one in the namespace of the caller comes first."
	if rule == nil {
		d.Message += ": they see no DestinationRule of " + n.Host
		return
	}
	d.Message += ": the DestinationRule that they see for " + n.Host + " has no subset " + n.Subset
	for _, o := range rule.Objects {
		d.Related = append(d.Related, diag.Related{Pos: o.Pos(), Object: o.Ref(), Message: "is what they see"})
	}
}

// consequence is what becomes of a reference that leads nowhere.
func consequence(k validate.ReferenceKind) string {
	switch k {
	case validate.ToCluster, validate.ToListener:
		return "what would be sent there is answered with 503, cut off or lost"
	case validate.ToPlugin, validate.ToStaticSecret:
		return "Envoy refuses the resource"
	case validate.ToSecret, validate.ToRoutes, validate.ToEndpoints:
		return "Envoy waits for it and serves nothing until then"
	case validate.ToDiscovered:
	}
	return "no server of a bundle hands it out"
}
