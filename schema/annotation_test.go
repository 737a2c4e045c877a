package schema

import (
	"slices"
	"testing"
)

// TestAnnotations: what an annotation or label does where it stands, by the table in annotation.cue.
func TestAnnotations(t *testing.T) {
	deployment := func(own, pods string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, annotations: {" + own + "}}\nspec: {selector: {}, template: {metadata: {annotations: {" + pods + "}}, spec: {containers: [{name: c}]}}}\n"
	}
	for _, c := range []struct {
		text string
		want []string
	}{
		{deployment("", "sidecar.istio.io/interceptionMode: TPROXY"), nil},
		{deployment("example.com/a: b", "example.com/c: d"), nil},
		{deployment("sidecar.istio.io/interceptionMode: TPROXY", ""), []string{"IST0107 metadata.annotations.sidecar.istio.io/interceptionMode"}},
		{deployment("", "sidecar.istio.io/intersectionMode: TPROXY"), []string{"IST0108 spec.template.metadata.annotations.sidecar.istio.io/intersectionMode"}},
		{deployment("", "sidecar.istio.io/proxyCPU: 100m"), nil},
		{deployment("", "sidecar.istio.io/agentLogLevel: debug"), []string{"MESHC1111 spec.template.metadata.annotations.sidecar.istio.io/agentLogLevel"}},
		{deployment("", "status.sidecar.istio.io/port: http"), []string{"IST0125 spec.template.metadata.annotations.status.sidecar.istio.io/port"}},
		{deployment("", "sidecar.istio.io/extraStatTags: a"), []string{"IST0135 spec.template.metadata.annotations.sidecar.istio.io/extraStatTags", "MESHC1111 spec.template.metadata.annotations.sidecar.istio.io/extraStatTags"}},
		{"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {istio.io/dataplane-mode: ambient, istio-injection: enabled}}\n", []string{"MESHC1111 metadata.labels.istio.io/dataplane-mode"}},
		{"apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {networking.istio.io/exportTo: '.', kubernetes.io/ingress.class: istio}}\n", []string{"IST0107 metadata.annotations.kubernetes.io/ingress.class"}},
	} {
		_, diags := Check(documents(t, c.text), Options{})
		var got []string
		for _, d := range diags {
			if d.Help == "" || d.Pos.Line < 1 {
				t.Errorf("%+v has no place or help", d)
			}
			got = append(got, d.Code+" "+d.Field)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s\ngives %q\nwant  %q", c.text, got, c.want)
		}
	}
}
