// Command meshc-rollouts has Argo Rollouts move the weights of live routes: it is a traffic router plugin of Argo Rollouts that asks
// meshc's servers for them.
//
// A step of a canary sets weights at each server (PUT /weights), which sends each proxy that has the route one small resource; no
// object of Istio is written, and Git is not touched. That a weight holds is not believed but asked (GET /weights): it does when
// all proxies that have the route have acknowledged it. When a rollout is over and what it asks for is what Git says, the weights
// are released.
package main

import (
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	"github.com/hashicorp/go-plugin"
)

// handshake is what the controller and its traffic routers greet each other with.
func handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "ARGO_ROLLOUTS_RPC_PLUGIN", MagicCookieValue: "trafficrouter"}
}

func main() {
	plugin.Serve(&plugin.ServeConfig{HandshakeConfig: handshake(), Plugins: map[string]plugin.Plugin{"RpcTrafficRouterPlugin": &rpc.RpcTrafficRouterPlugin{Impl: &router{}}}})
}
