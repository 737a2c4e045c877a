package schema

import (
	"strconv"
	"strings"
	"time"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
)

// Object is a document whose shape has been checked and whose spec has been decoded.
//
// Spec holds, by Kind: the Istio message (*networking.VirtualService of istio.io/api/networking/v1alpha3, and likewise
// *DestinationRule, *Gateway, *ServiceEntry, *WorkloadEntry, *WorkloadGroup, *Sidecar, *EnvoyFilter, *networking
// v1beta1.ProxyConfig; *security.PeerAuthentication, *AuthorizationPolicy, *RequestAuthentication of
// istio.io/api/security/v1beta1; *telemetry.Telemetry of istio.io/api/telemetry/v1alpha1; *extensions.WasmPlugin) or the
// whole Kubernetes object (*corev1.Namespace, *corev1.Service, *corev1.Pod, *corev1.ServiceAccount, *corev1.Node,
// *corev1.ConfigMap, *corev1.Endpoints, *discoveryv1.EndpointSlice, and the kinds of workloads: see Pods).
type Object struct {
	APIVersion  string
	Kind        string
	Namespace   string
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	Created     time.Time // metadata.creationTimestamp; zero when the file has none
	Spec        any
	Doc         *source.Document
}

// Ref names the object for a finding.
func (o *Object) Ref() diag.Ref { return diag.Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name} }

// Pos returns the place of a part of the object; path elements are keys (string) and indices (int).
func (o *Object) Pos(path ...any) diag.Pos { return o.Doc.Pos(path...) }

// Finding builds a finding about a part of the object, so that place, object and field path always agree.
func (o *Object) Finding(sev diag.Severity, code, message, help string, path ...any) diag.Diagnostic {
	return diag.Diagnostic{Code: code, Severity: sev, Pos: o.Pos(path...), Object: o.Ref(), Field: FieldPath(path...), Message: message, Help: help}
}

// FieldPath renders a path as spec.http[0].timeout.
func FieldPath(path ...any) string {
	var b strings.Builder
	for _, e := range path {
		switch e := e.(type) {
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(e)
		case int:
			b.WriteString("[" + strconv.Itoa(e) + "]")
		}
	}
	return b.String()
}
