// Package manifest writes the Kubernetes objects that deliver a bundle, for tools that apply objects and know nothing of
// bundles: a ConfigMap that holds its archive, and a Job that waits until the proxies have it. The same bundle gives the same
// bytes, so that who applies them sees a change only where there is one.
package manifest

import (
	"bytes"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
)

// BundleKey is the key of the archive in the ConfigMap, and so the name of the file where it is mounted.
const BundleKey = "bundle.tar.gz"

// DigestAnnotation holds the digest of the bundle.
const DigestAnnotation = "meshc.dev/bundle"

// Options say how the objects are called.
type Options struct {
	Name, Namespace string // of the ConfigMap; an empty namespace is left to who applies it
	Wait            *Wait  // nil: nobody waits
}

// Wait is a Job that ends well when all proxies of a server have acknowledged the bundle.
type Wait struct {
	Admin   string // HOST:PORT of the server's admin address
	Image   string // with meshc as its entry point
	Timeout string // as time.ParseDuration takes it
}

// Objects writes the objects of a bundle as YAML documents. A bundle that no ConfigMap can hold is an error.
func Objects(b *bundle.Bundle, o Options) ([]byte, error) {
	if why := validation.IsDNS1123Subdomain(o.Name); len(why) > 0 {
		return nil, fmt.Errorf("%q is no name of a ConfigMap: %s", o.Name, why[0])
	}
	if why := validation.IsDNS1123Label(o.Namespace); o.Namespace != "" && len(why) > 0 {
		return nil, fmt.Errorf("%q is no name of a namespace: %s", o.Namespace, why[0])
	}
	var archive bytes.Buffer
	if err := b.Archive(&archive); err != nil {
		return nil, err
	}
	if err := fits(archive.Len()); err != nil {
		return nil, err
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: o.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": "meshc"}, Annotations: map[string]string{DigestAnnotation: b.Digest.String()}}
	}
	objects := []any{&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: meta(o.Name), BinaryData: map[string][]byte{BundleKey: archive.Bytes()}}}
	if o.Wait != nil {
		objects = append(objects, o.Wait.job(meta(o.Name+"-wait"), b))
	}
	var out bytes.Buffer
	for _, x := range objects {
		text, err := yaml.Marshal(x)
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		out.Write(bytes.ReplaceAll(text, []byte("\nstatus: {}\n"), []byte("\n")))
	}
	return out.Bytes(), nil
}

// fits tells whether a ConfigMap can hold an archive of so many bytes.
func fits(size int) error {
	if size > limit.ConfigMapBytes {
		return fmt.Errorf("the archive has %d KiB, and a ConfigMap holds %d KiB: push it to a registry with meshc bundle push, and have the server follow the tag", size>>10, limit.ConfigMapBytes>>10)
	}
	return nil
}

// job runs after everything else was applied, and anew for each bundle: for Argo CD it is a hook, whose failure fails the sync.
func (w *Wait) job(meta metav1.ObjectMeta, b *bundle.Bundle) *batchv1.Job {
	meta.Annotations["argocd.argoproj.io/hook"] = "PostSync"
	meta.Annotations["argocd.argoproj.io/hook-delete-policy"] = "BeforeHookCreation"
	meta.Labels["sidecar.istio.io/inject"] = "false"
	no, yes, again := false, true, int32(0)
	pod := corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no,
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{
			Name: "wait", Image: w.Image,
			Args:            []string{"wait", "--digest", b.Digest.String(), "--for", "acked=100%", "--admin", w.Admin, "--timeout", w.Timeout},
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		}},
	}
	return &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: meta,
		Spec: batchv1.JobSpec{BackoffLimit: &again, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"sidecar.istio.io/inject": "false"}}, Spec: pod}}}
}
