// Package admission answers the reviews of an API server that admits pods: each pod comes back with the proxy that an injector
// gives it, or as it was.
//
// A review is read, its pod is given a name where the API server has not made one yet, and handed to the injector as a manifest. What
// comes back is compared with what went in by metadata and spec, and the patch replaces those of the two that differ. What stands
// against injection refuses the pod, so that none runs without the proxy that the mesh counts on, or lets it in with a warning
// where that was asked for.
package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json" // whole numbers stay whole, however large
)

// Injector gives a pod its proxy: pod is JSON of a Pod with a name and a namespace. The same comes back, with the proxy if it gets
// one. reasons say what stands against it, each with what to do; an error, that it could not be tried.
type Injector func(pod []byte) (injected []byte, reasons []string, err error)

// answer answers a review.
func (h *Handler) answer(req *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	out := &admissionv1.AdmissionResponse{UID: req.UID, Allowed: true}
	if req.Kind.Group != "" || req.Kind.Version != "v1" || req.Kind.Kind != "Pod" || req.SubResource != "" {
		return out, fmt.Errorf("the review is about %s %s, and only pods have a proxy: mend the rules of the MutatingWebhookConfiguration", req.Kind.String(), req.SubResource)
	}
	if req.Operation != admissionv1.Create {
		return out, nil // containers of a pod do not change
	}
	var pod map[string]any
	if err := utiljson.Unmarshal(req.Object.Raw, &pod); err != nil {
		return out, fmt.Errorf("the pod cannot be read: %w", err)
	}
	manifest, restore, err := manifestOf(pod, req.Namespace)
	if err != nil {
		return out, err
	}
	text, reasons, err := h.inject(manifest)
	if err != nil {
		return out, err
	}
	if len(reasons) > 0 {
		return h.against(out, reasons), nil
	}
	var injected map[string]any
	if err := utiljson.Unmarshal(text, &injected); err != nil {
		return out, fmt.Errorf("what was injected cannot be read: %w", err)
	}
	restore(injected)
	if out.Patch, err = patch(pod, injected); err != nil || out.Patch == nil {
		return out, err
	}
	kind := admissionv1.PatchTypeJSONPatch
	out.PatchType = &kind
	return out, nil
}

// against refuses a pod that something stands against, or lets it in without a proxy.
func (h *Handler) against(out *admissionv1.AdmissionResponse, reasons []string) *admissionv1.AdmissionResponse {
	if h.opts.Open {
		for _, r := range reasons {
			out.Warnings = append(out.Warnings, "no proxy: "+r)
		}
		return out
	}
	out.Allowed = false
	out.Result = &metav1.Status{Status: metav1.StatusFailure, Code: 422, Reason: metav1.StatusReasonInvalid, Message: "no proxy can be added: " + join(reasons)}
	return out
}

func join(reasons []string) string {
	out := ""
	for i, r := range reasons {
		if i > 0 {
			out += "; "
		}
		out += r
	}
	return out
}

// nameless stands for the name that the API server makes of generateName after the review.
const nameless = "pod"

// manifestOf is the pod as a manifest would have it: with a name and a namespace, and without a state. restore undoes that.
func manifestOf(pod map[string]any, namespace string) (text []byte, restore func(map[string]any), err error) {
	copied := clone(pod)
	meta, ok := copied["metadata"].(map[string]any)
	if !ok {
		return nil, nil, errors.New("the pod has no metadata")
	}
	name, named := meta["name"]
	had, placed := meta["namespace"]
	if !named {
		meta["name"] = nameless
		if begin, _ := meta["generateName"].(string); begin != "" {
			meta["name"] = begin + "0"
		}
	}
	meta["namespace"] = namespace
	if namespace == "" {
		meta["namespace"] = metav1.NamespaceDefault
	}
	uid, identified := meta["uid"]
	delete(meta, "uid") // by which a pod of a cluster is told from one of a manifest
	state, lives := copied["status"]
	delete(copied, "status")
	text, err = json.Marshal(copied)
	return text, func(out map[string]any) {
		meta, ok := out["metadata"].(map[string]any)
		if !ok {
			return
		}
		put := func(to map[string]any, key string, value any, was bool) {
			if was {
				to[key] = value
			} else {
				delete(to, key)
			}
		}
		put(meta, "name", name, named)
		put(meta, "namespace", had, placed)
		put(meta, "uid", uid, identified)
		put(out, "status", state, lives)
	}, err
}

func clone(v map[string]any) map[string]any {
	text, _ := json.Marshal(v)
	out := map[string]any{}
	_ = utiljson.Unmarshal(text, &out)
	return out
}

// operation is one of a JSON patch, RFC 6902.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patch leads from one pod to the other; nil: they are alike.
func patch(from, to map[string]any) ([]byte, error) {
	var out []operation
	for _, part := range [...]string{"metadata", "spec"} {
		if !reflect.DeepEqual(from[part], to[part]) {
			out = append(out, operation{"replace", "/" + part, to[part]})
		}
	}
	if out == nil {
		return nil, nil
	}
	return json.Marshal(out)
}
