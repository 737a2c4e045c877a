package inject

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/intercept"
)

// statsPort is where the proxy has its statistics.
const statsPort = intercept.StatsPort

const (
	envoyFolder   = "/etc/istio/proxy"
	envoyConfig   = envoyFolder + "/envoy.json"
	podInfoFolder = "/etc/istio/pod"

	overrideFolder = "/etc/istio/custom-bootstrap"
	overrideFile   = "custom_bootstrap.json" // the key of the ConfigMap
)

var (
	logLevel      = regexp.MustCompile(`^(trace|debug|info|warning|warn|error|critical|off)$`)
	componentLogs = regexp.MustCompile(`^[a-z0-9_]+:(trace|debug|info|warning|warn|error|critical|off)(,[a-z0-9_]+:(trace|debug|info|warning|warn|error|critical|off))*$`)
	imageName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]*$`)
	imageKind     = regexp.MustCompile(`^(default|distroless|debug)$`)
)

// proxyContainer is Envoy.
func (p *pod) proxyContainer() *corev1.Container {
	resources := p.resources()
	c := &corev1.Container{
		Name: proxyName, Image: p.image(), Command: []string{"/usr/local/bin/envoy"}, Args: p.envoyArgs(resources), Env: p.environment(),
		Resources: resources, SecurityContext: unprivileged(),
		Ports:        []corev1.ContainerPort{{Name: "http-envoy-prom", ContainerPort: statsPort, Protocol: corev1.ProtocolTCP}},
		VolumeMounts: append([]corev1.VolumeMount{{Name: envoyVolume, MountPath: envoyFolder}}, p.identityMount()...),
	}
	volumes, mounts := p.mounts()
	c.VolumeMounts = append(c.VolumeMounts, mounts...)
	p.addVolumes(volumes)
	if p.statusPort() {
		p.proxyProbes(c)
	}
	if !p.classic {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always // a native sidecar: it starts before, and ends behind, the containers of the application
	} else if n := seconds(p.proxy.GetTerminationDrainDuration()); n > 0 {
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: n}}}
	}
	return c
}

// statusPort tells whether the proxy is probed at all. Where it answers is not the pod's to say: another port is refused.
func (p *pod) statusPort() bool {
	const key = "status.sidecar.istio.io/port"
	switch n := p.number(key, intercept.ProbePort); n {
	case 0:
		return false
	case intercept.ProbePort, intercept.HealthPort:
	default:
		p.bad(key, fmt.Sprintf("the proxy answers kubelet at %d for the application and at %d for itself, and at no other port", intercept.ProbePort, intercept.HealthPort), "leave it out, or write \"0\" for a proxy without probes")
	}
	return true
}

// image resolves the image of the proxy.
func (p *pod) image() string {
	image := p.word("sidecar.istio.io/proxyImage", p.settings.ProxyImage, imageName, "write the name of an image")
	kind := p.word("sidecar.istio.io/proxyImageType", p.proxy.GetImage().GetImageType(), imageKind, "write default, distroless or debug")
	if kind == "" {
		return image
	}
	at := strings.LastIndexByte(image, ':')
	if at < strings.LastIndexByte(image, '/') || strings.Contains(image, "@") {
		p.fail("MESHC1903", fmt.Sprintf("the image %s has no tag, so that there is no telling which is the %s one", image, kind), "name the image whole, by sidecar.istio.io/proxyImage or --proxy-image", p.at("sidecar.istio.io/proxyImageType")...)
		return image
	}
	tag := image[at+1:]
	for _, k := range []string{"distroless-", "debug-"} {
		tag = strings.TrimPrefix(tag, k)
	}
	if kind != "default" {
		tag = kind + "-" + tag
	}
	return image[:at+1] + tag
}

// envoyArgs is the command line of Envoy.
func (p *pod) envoyArgs(r corev1.ResourceRequirements) []string {
	drain := cmp.Or(seconds(p.proxy.GetDrainDuration()), 45)
	args := []string{"--config-path", envoyConfig, "--drain-time-s", fmt.Sprint(drain), "--drain-strategy", "immediate", "--disable-hot-restart",
		"--log-level", p.word("sidecar.istio.io/logLevel", "warning", logLevel, "write a level of Envoy's log, such as warning")}
	if c := p.word("sidecar.istio.io/componentLogLevel", "misc:error", componentLogs, "write COMPONENT:LEVEL, several by commas"); c != "" {
		args = append(args, "--component-log-level", c)
	}
	if n := p.concurrency(r); n > 0 {
		args = append(args, "--concurrency", fmt.Sprint(n))
	}
	return args
}

// concurrency is the number of Envoy's workers; 0: one for each processor of the node.
func (p *pod) concurrency(r corev1.ResourceRequirements) int64 {
	if c := p.proxy.GetConcurrency(); c != nil {
		return int64(c.GetValue())
	}
	limit, ok := r.Limits[corev1.ResourceCPU]
	if whole := p.tmpl.Spec.Resources; !ok && whole != nil {
		limit, ok = whole.Limits[corev1.ResourceCPU]
	}
	if !ok {
		return 0
	}
	return max(1, (limit.MilliValue()+999)/1000)
}

// environment is what compiled resources read of a proxy's environment, and what ProxyConfig puts into it.
func (p *pod) environment() []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
	}
	out := []corev1.EnvVar{
		field("CANONICAL_SERVICE", "metadata.labels['"+endpoint.LabelCanonicalName+"']"),
		field("CANONICAL_REVISION", "metadata.labels['"+endpoint.LabelCanonicalRevision+"']"),
	}
	service := p.tmpl.Annotations["resource.opentelemetry.io/service.name"]
	if service == "" {
		service = p.workload.Name + "." + p.workload.Namespace
	}
	meta := p.proxy.GetProxyMetadata()
	if _, own := meta[otelAttributes]; !own {
		out = append(out, corev1.EnvVar{Name: otelAttributes, Value: literal("service.name=" + percent(service))})
	}
	if p.settings.CNI && mesh.CapturesDNS(p.proxy) {
		out = append(out, corev1.EnvVar{Name: mesh.MetadataDNSCapture, Value: "true"}) // as the plugin reads it off the container
	}
	var names []string
	for name := range meta {
		if !strings.HasPrefix(name, nodeMetadata) && !strings.HasPrefix(name, "MESHC_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, corev1.EnvVar{Name: name, Value: literal(meta[name])})
	}
	return out
}

const (
	otelAttributes = "OTEL_RESOURCE_ATTRIBUTES"
	nodeMetadata   = "ISTIO_META_" // entries of proxyMetadata that are metadata of the node
)

// literal is a text that Kubernetes does not put variables into.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// percent encodes what would end a value of otelAttributes.
func percent(s string) string {
	return strings.NewReplacer("%", "%25", ",", "%2C", "=", "%3D", " ", "%20", `"`, "%22", ";", "%3B", `\`, "%5C").Replace(s)
}

// proxyProbes has kubelet hold the application back until the proxy has its configuration, and ask for its health.
func (p *pod) proxyProbes(c *corev1.Container) {
	get := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz/ready", Port: intstr.FromInt32(intercept.HealthPort)}}
	c.ReadinessProbe = &corev1.Probe{ProbeHandler: get, TimeoutSeconds: 3,
		InitialDelaySeconds: p.number("readiness.status.sidecar.istio.io/initialDelaySeconds", 0),
		PeriodSeconds:       p.number("readiness.status.sidecar.istio.io/periodSeconds", 15),
		FailureThreshold:    p.number("readiness.status.sidecar.istio.io/failureThreshold", 4)}
	c.StartupProbe = &corev1.Probe{ProbeHandler: get, TimeoutSeconds: 3, PeriodSeconds: 1, FailureThreshold: 600}
}

func unprivileged() *corev1.SecurityContext {
	user, yes, no := int64(intercept.ProxyUID), true, false
	return &corev1.SecurityContext{RunAsUser: &user, RunAsGroup: &user, RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no, Privileged: &no,
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
}
