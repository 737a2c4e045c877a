package admission

import (
	"encoding/json"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// labelled is an injector that adds a label and leaves all else.
func labelled(pod []byte) ([]byte, []string, error) {
	return []byte(strings.Replace(string(pod), `"app":`, `"proxy":"yes","app":`, 1)), nil, nil
}

func review(object string) *admissionv1.AdmissionRequest {
	return &admissionv1.AdmissionRequest{UID: "u", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Namespace: "shop", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: []byte(object)}}
}

// A patch holds what the injector changed, and no number on its way there and back.
func TestPatchKeepsNumbers(t *testing.T) {
	const large = "9007199254740993" // the first whole number that a float is not
	h := &Handler{inject: labelled}
	out, err := h.answer(review(`{"metadata":{"generateName":"web-","generation":` + large + `,"labels":{"app":"web"}},"spec":{"activeDeadlineSeconds":` + large + `}}`))
	if err != nil || !out.Allowed {
		t.Fatal(out, err)
	}
	var patch []struct {
		Path  string
		Value json.RawMessage
	}
	if err := json.Unmarshal(out.Patch, &patch); err != nil {
		t.Fatal(err)
	}
	if len(patch) != 1 || patch[0].Path != "/metadata" || !strings.Contains(string(patch[0].Value), large) || !strings.Contains(string(patch[0].Value), `"proxy":"yes"`) || strings.Contains(string(patch[0].Value), `"name"`) {
		t.Errorf("%s", out.Patch)
	}
}

// A review without a pod, or about something else, lets nothing in.
func TestNoPod(t *testing.T) {
	h := &Handler{inject: labelled}
	for _, object := range []string{"", "null", "[1]", "{", `{"metadata":[]}`, `{}`} {
		if out, err := h.answer(review(object)); err == nil || out.Patch != nil {
			t.Errorf("%s: %v", object, out)
		}
	}
	other := review(`{"metadata":{}}`)
	other.Kind.Kind = "Deployment"
	if _, err := h.answer(other); err == nil || !strings.Contains(err.Error(), "mend the rules") {
		t.Errorf("a Deployment: %v", err)
	}
}
