package names

import "strings"

// RuntimeLayer is the layer of a proxy's runtime that the server sets: the name of its one Runtime resource.
const RuntimeLayer = "meshc"

// LivePrefix begins the runtime keys of weights that are set while the mesh runs.
const LivePrefix = "meshc.weights."

// LiveWeights is the prefix of the runtime keys that override the weights of a named route of a VirtualService; a dot and the
// name of a cluster follow: meshc.weights.shop/reviews/main.
func LiveWeights(namespace, name, route string) string {
	return LivePrefix + namespace + "/" + name + "/" + route
}

// ParseLiveWeights is the route whose weights a prefix overrides, NAMESPACE/NAME/ROUTE.
func ParseLiveWeights(prefix string) (route string, ok bool) {
	return strings.CutPrefix(prefix, LivePrefix)
}
