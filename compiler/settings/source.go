package settings

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// inForce returns the ConfigMap whose settings are in force, if there is one, and says of the others that theirs are not.
func inForce(objects []*schema.Object) (*schema.Object, diag.List) {
	var findings diag.List
	maps := schema.MeshConfigMaps(objects)
	for _, o := range objects {
		cm, ok := o.Spec.(*corev1.ConfigMap)
		if !ok {
			continue
		}
		if o.Namespace != schema.SystemNamespace {
			if schema.IsMeshConfigMap(o) && o.Name != "istio" {
				findings.Add(o.Finding(diag.Warning, codeNotInForce, "the mesh configuration of a revision is read in "+schema.SystemNamespace+" only, so this one is not in force",
					"move it there, or rename the ConfigMap if it is none", "metadata", "namespace"))
			}
			continue
		}
		if !schema.IsMeshConfigMap(o) && cm.Data[schema.MeshKey] != "" {
			findings.Add(o.Finding(diag.Warning, codeNotInForce, "this looks like the mesh configuration, and a control plane reads that of the ConfigMap istio, or istio-REVISION, so that no setting in it is in force here",
				"rename the ConfigMap; where istiod is told its name by SHARED_MESH_CONFIG, copy the settings into the ConfigMap istio", "metadata", "name"))
		}
		if o.Name == "istio" && !schema.IsMeshConfigMap(o) && len(cm.Data) > 0 {
			findings.Add(o.Finding(diag.Warning, codeNotInForce, "the ConfigMap istio has no key mesh, which is the one that a control plane reads: no setting in it is in force",
				"put the settings under the key "+schema.MeshKey+", and networks under "+schema.NetworksKey, "data"))
		}
	}
	if len(maps) == 0 {
		return nil, findings
	}
	from := maps[0]
	for _, o := range maps[1:] {
		d := o.Finding(diag.Warning, codeNotInForce, "this mesh configuration is not in force: a bundle has one, and "+from.Ref().String()+" goes before it",
			"compile the revisions apart, each with the ConfigMap that it reads", "metadata", "name")
		if o.Name == from.Name || from.Name != "istio" {
			d.Severity, d.Code = diag.Error, codeSecond
			d.Message, d.Help = "a second mesh configuration: only one ConfigMap with one may be in the input", "keep one of them"
		}
		d.Related = []diag.Related{{Pos: from.Pos("metadata", "name"), Object: from.Ref(), Message: "the one in force"}}
		findings.Add(d)
	}
	return from, findings
}
