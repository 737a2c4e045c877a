package mesh

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of links between objects.
var Codes = []diag.Code{
	{
		ID: "IST0101", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "something named here does not exist, or not for the proxies that carry a route out (a warning where others have it): a host, subset, gateway, delegate or port name; or a selector matches no workload",
		Example: "`destination: {host: reviewz}`",
		Remedy:  "create it, or correct the name; a short host means a Service of the object's namespace; one that only a cluster has counts by `--observed FILE`, or `--kubernetes` of `serve --compile`",
	},
	{
		ID: "IST0109", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "two VirtualServices have a host in common, and sidecars use the http routes of the first only: an error at the other, a warning at the first",
		Example: "`hosts: [reviews]` in both",
		Remedy:  "join them, use a delegate, or separate them with `exportTo`",
	},
	{
		ID: "IST0112", Severity: diag.Warning,
		Means:   "a destination names no port, and its service has several",
		Example: "a route on a gateway to a Service with two ports",
		Remedy:  "add `port.number`",
	},
	{
		ID: "IST0145", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "two servers of Gateways want the same port and hosts: an error at the one left out, a warning at the one that is served",
		Example: "HTTP and TCP on port 80 of one gateway",
		Remedy:  "other port, bind address or hosts",
	},
	{
		ID: "IST0174", Severity: diag.Error,
		Means:   "a DestinationRule for a host that no Service or ServiceEntry has",
		Example: "`host: reviewz`",
		Remedy:  "correct the host",
	},
	{
		ID: "MESHC1203", Severity: diag.Info,
		Means:   "a namespace is left out, because `discoverySelectors` do not take it",
		Example: "a selector for a label that the Namespace has not",
		Remedy:  "label the Namespace",
	},
	{
		ID: "MESHC1204", Severity: diag.Error, FailsClosed: true,
		Means:   "`MESHC_IDENTITY` in `defaultConfig.proxyMetadata` is none of `spire`, `agent` and `server`",
		Example: "`MESHC_IDENTITY: vault`",
		Remedy:  "one of the three",
	},
	{
		ID: "MESHC1206", Severity: diag.Warning,
		Means:   "a mesh-wide default of `exportTo` names a namespace, which means nothing there",
		Example: "`defaultServiceExportTo: [shop]`",
		Remedy:  "`.` or `*`",
	},
	{
		ID: "MESHC1208", Severity: diag.Warning,
		Means:   "the ConfigMap `istio-sidecar-injector` cannot be read, so labels alone say who gets a proxy",
		Example: "`neverInjectSelector: app=x`",
		Remedy:  "compare with what Istio installs",
	},
	{
		ID: "MESHC1210", Severity: diag.Error,
		Means:   "the service has no such port",
		Example: "`port: {number: 81}`",
		Remedy:  "use a port of the Service",
	},
	{
		ID: "MESHC1221", Severity: diag.Error,
		Means:   "`targetRefs` reach waypoints and Gateway API gateways only: the policy would protect nothing",
		Example: "`targetRefs: [{kind: Service, …}]`",
		Remedy:  "use a selector",
	},
	{
		ID: "MESHC1222", Severity: diag.Error,
		Means:   "a kind that is checked and not compiled yet, so that what it asks for is not in the bundle",
		Example: "WasmPlugin, TrafficExtension",
		Remedy:  "remove it, add the filter by an EnvoyFilter, or lower the severity if the mesh is right without it",
	},
	{
		ID: "MESHC1223", Severity: diag.Warning,
		Means:   "`portLevelMtls` names the port of a Service where the workload's is meant",
		Example: "`80` for `targetPort: 8080`",
		Remedy:  "the port of the workload",
	},
	{
		ID: "MESHC1224", Severity: diag.Error,
		Means:   "a PeerAuthentication with a selector in the root namespace has no effect",
		Example: "`selector` in `istio-system`",
		Remedy:  "without selector for the mesh, or in the workload's namespace",
	},
	{
		ID: "MESHC1230", Severity: diag.Warning,
		Means:   "a VirtualService without hosts that nobody delegates to",
		Example: "a left-over delegate",
		Remedy:  "delegate to it, give it hosts, or remove it",
	},
	{
		ID: "MESHC1231", Severity: diag.Error,
		Means:   "a delegate is not exported to the namespace of its root",
		Example: "`exportTo: [\".\"]`",
		Remedy:  "add the namespace",
	},
	{
		ID: "MESHC1232", Severity: diag.Error,
		Means:   "a delegate delegates again",
		Example: "`delegate` in a VirtualService without hosts",
		Remedy:  "route here",
	},
	{
		ID: "MESHC1233", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "the matches of root and delegate cannot both hold",
		Example: "root `/a`, delegate `/b`",
		Remedy:  "a match inside the root's",
	},
	{
		ID: "MESHC1234", Severity: diag.Error,
		Means:   "a match names a gateway that the VirtualService is not bound to",
		Example: "`match: [{gateways: [x]}]`",
		Remedy:  "add it to `spec.gateways`",
	},
	{
		ID: "MESHC1240", Severity: diag.Warning,
		Means:   "two DestinationRules of one host both have a `trafficPolicy`; the older one's counts",
		Example: "`trafficPolicy` in both",
		Remedy:  "keep one",
	},
	{
		ID: "MESHC1241", Severity: diag.Warning,
		Means:   "one subset name in two rules of one host; the older one's counts",
		Example: "`name: v1` in both",
		Remedy:  "rename one",
	},
	{
		ID: "MESHC1242", Severity: diag.Warning,
		Means:   "a service selects a WorkloadEntry without an IP address and leaves it out: only ServiceEntries of resolution `DNS` take names and sockets",
		Example: "`address: vm.example.com`, `resolution: STATIC`",
		Remedy:  "the IP address, or `resolution: DNS`",
	},
	{
		ID: "MESHC1243", Severity: diag.Error, FailsClosed: true,
		Means:   "the file of `--addresses` holds no Service",
		Example: "Pods instead of Services",
		Remedy:  "write what `kubectl get services -A -o yaml` prints into it",
	},
	{
		ID: "MESHC1244", Severity: diag.Warning,
		Means:   "a TCP port of a headless Service whose endpoints are not in the source: proxies cannot know its connections, and let them pass in plain text",
		Example: "a StatefulSet with `clusterIP: None` and `ports: [{name: tcp, port: 9094}]`",
		Remedy:  "add its Pods or EndpointSlices, or give it a clusterIP",
	},
	{
		ID: "MESHC1246", Severity: diag.Info,
		Means:   "two ServiceEntry hosts would get one virtual address; the younger takes the next, which may move",
		Example: "two hosts with one hash",
		Remedy:  "write `addresses`",
	},
	{
		ID: "MESHC1247", Severity: diag.Error,
		Means:   "no virtual address is left",
		Example: "65,534 hosts without addresses",
		Remedy:  "write `addresses`, or switch allocation off by label",
	},
	{
		ID: "MESHC1248", Severity: diag.Warning,
		Means:   "a TCP port of a Service without clusterIP in the source: proxies cannot know its connections by an address, and let them pass in plain text",
		Example: "`ports: [{name: tcp-sql, port: 5432}]` without `clusterIP`",
		Remedy:  "`--addresses FILE` with what `kubectl get services -A -o yaml` prints, or write `spec.clusterIP`",
	},
	{
		ID: "MESHC1249", Severity: diag.Warning,
		Means:   "a clusterIP in the source is another one than the cluster has",
		Example: "`clusterIP: 10.96.0.7`, and `--addresses` says 10.96.0.8",
		Remedy:  "take it out of the source",
	},
	{
		ID: "MESHC1250", Severity: diag.Error,
		Means:   "the annotation `proxy.istio.io/config` cannot be read",
		Example: "a misspelled field in it",
		Remedy:  "correct the ProxyConfig",
	},
	{
		ID: "MESHC1251", Severity: diag.Error,
		Means:   "proxies that need different configuration have the same labels, and no address tells them apart",
		Example: "two Deployments with one set of labels whose named ports mean different numbers",
		Remedy:  "a label of their own for the pods of each",
	},
	{
		ID: "MESHC1252", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "an entry of proxyMetadata that is read as a switch or a duration is none",
		Example: "`ISTIO_META_IDLE_TIMEOUT: 90`",
		Remedy:  "what the help says",
	},
	{
		ID: "MESHC1549", Severity: diag.Warning,
		Means:   "an AuthorizationPolicy names the port of a Service where the workload's is meant",
		Example: "`ports: [\"80\"]` for `targetPort: 8080`",
		Remedy:  "the port of the workload",
	},
}
