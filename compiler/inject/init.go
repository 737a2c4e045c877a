package inject

import (
	"encoding/csv"
	"fmt"
	"reflect"
	"slices"
	"strings"

	meshconfig "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/intercept"
)

// Where the identity of the proxy is mounted.
const (
	identityFolder = "/run/secrets/workload-identity"
	agentFolder    = "/run/spire/agent-sockets"
)

// bootstrapContainer writes what Envoy starts with.
func (p *pod) bootstrapContainer(probes string) *corev1.Container {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
	}
	args := []string{"bootstrap", "--name=$(POD_NAME)", "--namespace=$(POD_NAMESPACE)", "--ip=$(INSTANCE_IPS)", "--service-account=$(SERVICE_ACCOUNT)",
		"--workload-name=" + literal(p.workload.Name), "--pod-info=" + podInfoFolder, "--output=" + envoyConfig, "--xds=" + literal(p.server())}
	args = append(args, p.identityArgs()...)
	if p.gateway {
		args = append(args, "--gateway")
	}
	for _, f := range [][3]string{{"domain", p.mesh.Domain, "cluster.local"}, {"cluster", p.workload.Cluster, "Kubernetes"}, {"network", p.workload.Network, ""}} {
		if f[1] != "" && f[1] != f[2] {
			args = append(args, "--"+f[0]+"="+literal(f[1]))
		}
	}
	args = append(args, p.metadataArgs()...)
	for _, a := range p.statistics().Args() {
		args = append(args, literal(a))
	}
	if probes != "" {
		args = append(args, "--probes="+literal(probes))
	}
	mounts := []corev1.VolumeMount{{Name: envoyVolume, MountPath: envoyFolder}, {Name: podInfoVolume, MountPath: podInfoFolder, ReadOnly: true}}
	if p.override() != "" {
		args = append(args, "--override="+overrideFolder+"/"+overrideFile)
		mounts = append(mounts, corev1.VolumeMount{Name: overrideVolume, MountPath: overrideFolder, ReadOnly: true})
	}
	return &corev1.Container{
		Name: bootstrapName, Image: p.settings.MeshcImage, Args: args, SecurityContext: unprivileged(), Resources: p.small(),
		Env:          []corev1.EnvVar{field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"), field("INSTANCE_IPS", "status.podIPs"), field("SERVICE_ACCOUNT", "spec.serviceAccountName")},
		VolumeMounts: mounts,
	}
}

// small is what an init container of ours may use: where the pod is bounded as a whole, what that leaves.
func (p *pod) small() corev1.ResourceRequirements {
	if p.tmpl.Spec.Resources != nil {
		return corev1.ResourceRequirements{}
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("256Mi")},
	}
}

// server is where the ADS server is: the pod's own word, else that of the settings. What the mesh says is where istiod is.
func (p *pod) server() string {
	address, at := p.settings.XDS, ""
	if own := p.proxy.GetDiscoveryAddress(); own != "" && own != p.mesh.Config.GetDefaultConfig().GetDiscoveryAddress() {
		address, at = own, mesh.AnnotationProxyConfig
	}
	const annotation = "sidecar.istio.io/discoveryAddress"
	if a := p.tmpl.Annotations[annotation]; a != "" {
		address, at = a, annotation
	}
	if at != "" {
		if err := checkAddress(address); err != nil {
			p.bad(at, err.Error(), "write the name and the port of the ADS server")
		}
	}
	return address
}

// identityArgs say how the proxy proves who it is, and whom it asks.
func (p *pod) identityArgs() []string {
	s := p.settings
	var args []string
	switch s.Identity {
	case IdentityNone:
		return []string{"--identity=none", "--insecure-plaintext-to-any-server"}
	case IdentitySPIRE:
		args = []string{"--identity=spire", "--agent-socket=" + agentFolder + "/spire-agent.sock"}
	default:
		args = []string{"--identity=files", "--cert=" + identityFolder + "/tls.crt", "--key=" + identityFolder + "/tls.key", "--roots=" + identityFolder + "/ca.crt"}
	}
	if s.ServerSPIFFE != "" {
		return append(args, "--server-spiffe="+literal(s.ServerSPIFFE))
	}
	return append(args, "--server-name="+literal(s.ServerName))
}

// metadataArgs are the entries of ProxyConfig that become metadata of the node.
func (p *pod) metadataArgs() []string {
	var out []string
	meta := p.proxy.GetProxyMetadata()
	for k := range meta {
		if name, ok := strings.CutPrefix(k, nodeMetadata); ok && name != "" {
			var b strings.Builder
			w := csv.NewWriter(&b) // as the flag reads lists, so that a comma is part of the value
			_ = w.Write([]string{name + "=" + meta[k]})
			w.Flush()
			out = append(out, "--metadata="+literal(strings.TrimSuffix(b.String(), "\n")))
		}
	}
	slices.Sort(out)
	return out
}

// checkWait is how long the pod waits for the CNI plugin of its node, which has done its work before any container starts.
const checkWait = "30s"

// checkUser is who waits: anybody but the proxy's user, whose connections nothing redirects.
const checkUser = 65534

// rulesContainer installs the rules by which connections come to the proxy, or waits until the node has done it; nil if none do.
func (p *pod) rulesContainer() *corev1.Container {
	switch p.proxy.GetInterceptionMode() {
	case meshconfig.ProxyConfig_NONE:
		return nil
	case meshconfig.ProxyConfig_TPROXY:
		p.fail("MESHC1903", "interceptionMode TPROXY needs a proxy with capabilities of its own and other rules than injection installs",
			"use REDIRECT, which keeps the caller's address at the application's proxy too, or install the rules yourself with NONE", p.at("sidecar.istio.io/interceptionMode")...)
		return nil
	}
	if p.settings.CNI {
		user, yes, no := int64(checkUser), true, false
		return &corev1.Container{Name: checkName, Image: p.settings.MeshcImage, Args: append([]string{"intercept", "--check=" + checkWait}, p.interception().Args()...), Resources: p.small(),
			SecurityContext: &corev1.SecurityContext{RunAsUser: &user, RunAsGroup: &user, RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no, Privileged: &no,
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}
	}
	root, yes, no := int64(0), true, false
	context := &corev1.SecurityContext{RunAsUser: &root, RunAsGroup: &root, RunAsNonRoot: &no, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no, Privileged: &no,
		Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN", "NET_RAW"}, Drop: []corev1.Capability{"ALL"}}}
	return &corev1.Container{Name: rulesName, Image: p.settings.MeshcImage, Args: append([]string{"intercept"}, p.interception().Args()...), SecurityContext: context, Resources: p.small()}
}

// identityMount is how the proxy reaches its identity.
func (p *pod) identityMount() []corev1.VolumeMount {
	folder := map[string]string{IdentitySPIRE: agentFolder, IdentityFiles: identityFolder}[p.settings.Identity]
	if folder == "" {
		return nil
	}
	return []corev1.VolumeMount{{Name: identityVolume, MountPath: folder, ReadOnly: true}}
}

// volumes adds those of the proxy.
func (p *pod) volumes() {
	field := func(file, path string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: file, FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}
	}
	out := []corev1.Volume{
		{Name: envoyVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
		{Name: podInfoVolume, VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{field("labels", "metadata.labels"), field("annotations", "metadata.annotations")}}}},
	}
	if p.settings.Identity != IdentityNone {
		yes := true
		csi := &corev1.CSIVolumeSource{Driver: p.settings.CSIDriver, ReadOnly: &yes}
		if p.settings.CSIDriver == driverFiles {
			csi.VolumeAttributes = map[string]string{p.settings.CSIDriver + "/fs-group": fmt.Sprint(intercept.ProxyUID)}
		}
		out = append(out, corev1.Volume{Name: identityVolume, VolumeSource: corev1.VolumeSource{CSI: csi}})
	}
	if name := p.override(); name != "" {
		out = append(out, corev1.Volume{Name: overrideVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}})
	}
	p.addVolumes(out)
}

// addVolumes adds volumes to the pod. One of the same name has to be the same.
func (p *pod) addVolumes(volumes []corev1.Volume) {
	spec := child(p.value, "spec")
	l := list(spec, "volumes")
	for i := range volumes {
		v := plain(&volumes[i])
		at := named(l, volumes[i].Name)
		if at < 0 {
			l = append(l, v)
			p.added.Volumes = append(p.added.Volumes, volumes[i].Name)
			continue
		}
		if !reflect.DeepEqual(l[at], any(v)) {
			p.fail("MESHC1904", fmt.Sprintf("the pod has a volume %s already, and it is another than the one that the proxy needs", volumes[i].Name), "call it otherwise", p.tmpl.At("spec", "volumes")...)
		}
	}
	spec["volumes"] = l
}
