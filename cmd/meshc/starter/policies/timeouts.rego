# METADATA
# title: Rules of this repository
# description: What this team wants of its own manifests, beyond the built-in rules.
package main

import rego.v1

# METADATA
# title: Routes have a timeout
# description: A route must say how long a caller waits at most.
# custom:
#   severity: error
deny contains msg if {
	input.kind == "VirtualService"
	some route in input.spec.http
	route.route
	not route.timeout
	msg := sprintf("VirtualService %s: the route %q has no timeout; set one", [input.metadata.name, object.get(route, "name", "without a name")])
}
