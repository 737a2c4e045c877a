# METADATA
# title: Rules of the bookinfo repository
# description: What this team wants of its own manifests, beyond the built-in rules.
package main

import rego.v1

# METADATA
# title: Routes from outside have a timeout
# description: A route that is bound to a gateway must say how long a caller waits at most.
# custom:
#   severity: error
deny contains msg if {
	input.kind == "VirtualService"
	count(input.spec.gateways) > 0
	some route in input.spec.http
	not route.timeout
	not route.redirect
	not route.directResponse
	msg := sprintf("VirtualService %s: route %q is open to the outside and has no timeout; set one", [input.metadata.name, object.get(route, "name", "without a name")])
}
