package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/clustertest"
	"github.com/meshc/meshc/internal/registrytest"
)

// typed are the commands below a heading of docs/guides/first-hour.md that are typed, in their order: all blocks that are sh.
func typed(t *testing.T, heading string) (out []string) {
	t.Helper()
	_, section, found := strings.Cut(contents(t, "../../docs/guides/first-hour.md"), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the page has no section %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range strings.Split(section, "\n```sh\n")[1:] {
		script, _, closed := strings.Cut(block, "\n```\n")
		if !closed {
			t.Fatalf("a block of %s has no end", heading)
		}
		out = append(out, script)
	}
	return out
}

// TestFirstHourOnKubernetes types the commands of the page, on the API server of Kubernetes: in a cluster without Istio, and in one
// that has its kinds, its settings, its root and bookinfo.
func TestFirstHourOnKubernetes(t *testing.T) {
	helm, kubectl := clustertest.Helm(t), clustertest.Kubectl(t)
	api := clustertest.Start(t)
	project, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipeline{t: t, bin: t.TempDir()}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(p.bin, "meshc"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	home := t.TempDir()
	p.env = append(os.Environ(), "PATH="+strings.Join([]string{p.bin, filepath.Dir(helm), filepath.Dir(kubectl), os.Getenv("PATH")}, ":"), "HOME="+home,
		"KUBECONFIG="+api.Kubeconfig(clustertest.AdminToken, ""), "REGISTRY="+registrytest.Start(t, true).Host, "TAG=v0.0.0-first",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
	begin := func() {
		t.Helper()
		p.dir = t.TempDir()
		if err := os.Symlink(project, filepath.Join(p.dir, "meshc")); err != nil {
			t.Fatal(err)
		}
	}
	// certificates are those of cert-manager's kinds; nobody signs here.
	begin()
	p.hold(0, "kubectl apply -f "+strings.Join(api.Kinds(), " -f ")+" && kubectl wait --for=condition=Established --timeout=60s crd --all")
	alone := p.hold(0, strings.Join(typed(t, "A cluster without Istio"), "\n"))
	for _, want := range []string{"sha256:", "changed, tuning: shop/orders, shop/web -> orders.shop", "deployment.apps/orders created", "STATUS: deployed", "release \"meshc\" uninstalled"} {
		if !strings.Contains(alone, want) {
			t.Errorf("nothing says %q:\n%s", want, alone)
		}
	}

	begin()
	p.hold(0, `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.crt -subj /O=cluster.local -days 1 2>/dev/null
kubectl apply --server-side -f `+api.IstioKinds()+` >/dev/null && kubectl wait --for=condition=Established --timeout=60s crd --all >/dev/null
kubectl create secret generic istio-ca-secret -n istio-system --from-file=ca-cert.pem=root.crt --from-file=ca-key.pem=root.key
kubectl delete secret meshc-admin -n istio-system
kubectl apply -k meshc/examples/bookinfo/overlays/demo
kubectl delete configmap istio -n istio-system
kubectl create configmap istio -n istio-system --from-literal=mesh='defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
enablePrometheusMerge: true
'`)
	beside := p.hold(0, strings.Join(typed(t, "A cluster where Istio runs"), "\n"))
	for _, want := range []string{"sha256:", "STATUS: deployed", "deployment.apps/details-v1 patched"} {
		if !strings.Contains(beside, want) {
			t.Errorf("nothing says %q:\n%s", want, beside)
		}
	}
	if strings.Contains(beside, "by hand") || strings.Contains(beside, "IST0101") {
		t.Errorf("the settings or the services were not found:\n%s", beside)
	}
	if text := contents(t, filepath.Join(p.dir, "mesh-config/mesh/settings.yaml")); !strings.Contains(text, "proxyMetadata: {MESHC_IDENTITY: agent}") {
		t.Errorf("the settings do not say who has the certificates:\n%s", text)
	}
	set := p.hold(0, "kubectl get statefulset meshc -n istio-system -o yaml")
	if !strings.Contains(set, "/meshc:v0.0.0-first\n") {
		t.Errorf("the image is not the one that was pushed:\n%s", set)
	}
	if !strings.Contains(set, "--token-review") {
		t.Errorf("the server takes no tokens:\n%s", set)
	}
}
