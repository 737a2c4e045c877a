package main

import rego.v1

outside(route) := {"kind": "VirtualService", "metadata": {"name": "shop"}, "spec": {"gateways": ["shop"], "http": [route]}}

test_route_without_timeout if {
	count(deny) == 1 with input as outside({"name": "page", "route": []})
}

test_route_with_timeout if {
	count(deny) == 0 with input as outside({"name": "page", "timeout": "5s", "route": []})
}

test_redirect_needs_none if {
	count(deny) == 0 with input as outside({"name": "old", "redirect": {"uri": "/new"}})
}

test_inside_the_mesh_is_free if {
	count(deny) == 0 with input as {"kind": "VirtualService", "metadata": {"name": "shop"}, "spec": {"http": [{"route": []}]}}
}
