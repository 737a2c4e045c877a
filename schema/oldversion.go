package schema

import (
	"fmt"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
)

// oldVersionCode is for an object in an API version that no API server has any more.
const oldVersionCode = "MESHC1113"

// modernize turns an object of an older API version into the one that is served, in place, and says so. Where fields of
// Deployments and their like differ, the mesh reads none of them.
func modernize(o *Object, value map[string]any) diag.List {
	served, old := source.Served(o.APIVersion, o.Kind)
	if old == nil {
		return nil
	}
	value["apiVersion"] = served
	spec, _ := value["spec"].(map[string]any)
	switch o.Kind {
	case "Ingress":
		rename(spec, "backend", "defaultBackend")
		modernBackend(spec["defaultBackend"])
		eachMap(spec["rules"], func(rule map[string]any) {
			http, _ := rule["http"].(map[string]any)
			eachMap(http["paths"], func(path map[string]any) {
				modernBackend(path["backend"])
				if path["pathType"] == nil {
					path["pathType"] = "ImplementationSpecific"
				}
			})
		})
	case "EndpointSlice":
		eachMap(value["endpoints"], func(endpoint map[string]any) {
			topology, _ := endpoint["topology"].(map[string]any)
			delete(endpoint, "topology")
			for label, field := range map[string]string{"topology.kubernetes.io/zone": "zone", "kubernetes.io/hostname": "nodeName"} {
				if v := topology[label]; v != nil && endpoint[field] == nil {
					endpoint[field] = v
				}
			}
		})
	}
	return diag.List{o.Finding(diag.Warning, oldVersionCode,
		fmt.Sprintf("no API server takes the %s in the version %s, which Kubernetes %s removed; it is read as one of %s", o.Kind, o.APIVersion, old.Until, served),
		"Write it in "+served+"; see the deprecation guide of Kubernetes for fields that moved.", "apiVersion")}
}

// modernBackend moves the service of an Ingress backend to where networking.k8s.io/v1 has it.
func modernBackend(v any) {
	backend, ok := v.(map[string]any)
	if !ok || backend["serviceName"] == nil {
		return
	}
	port := map[string]any{}
	switch p := backend["servicePort"].(type) {
	case string:
		port["name"] = p
	case nil:
	default:
		port["number"] = p
	}
	backend["service"] = map[string]any{"name": backend["serviceName"], "port": port}
	delete(backend, "serviceName")
	delete(backend, "servicePort")
}

// eachMap calls f for the mappings of a list.
func eachMap(v any, f func(map[string]any)) {
	list, _ := v.([]any)
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			f(m)
		}
	}
}

func rename(m map[string]any, from, to string) {
	if v, ok := m[from]; ok && m[to] == nil {
		m[to] = v
		delete(m, from)
	}
}
