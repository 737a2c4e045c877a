package main

import rego.v1

with_route(route) := {"kind": "VirtualService", "metadata": {"name": "orders"}, "spec": {"http": [route]}}

test_route_without_timeout if {
	count(deny) == 1 with input as with_route({"name": "a", "route": []})
}

test_route_with_timeout if {
	count(deny) == 0 with input as with_route({"name": "a", "timeout": "5s", "route": []})
}

test_redirect_needs_none if {
	count(deny) == 0 with input as with_route({"name": "a", "redirect": {"uri": "/new"}})
}
