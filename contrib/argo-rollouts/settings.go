package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// pluginName is by which a Rollout names the plugin, in spec.strategy.canary.trafficRouting.plugins.
const pluginName = "meshc/weights"

// settings are what a Rollout says to the plugin.
type settings struct {
	// Route is NAMESPACE/NAME/ROUTE of a VirtualService with the annotation meshc.dev/live-weights.
	Route string `json:"route"`
	// Servers are the admin addresses of all replicas, as http://HOST:PORT. A name that has several addresses stands for all of them.
	Servers []string `json:"servers"`
	// TokenFile has the token of the servers' --admin-token.
	TokenFile string `json:"tokenFile"`
	// Stable and Canary are destinations of the route: a subset, a host, or HOST/SUBSET. Default: the Services of the Rollout.
	Stable string `json:"stable,omitempty"`
	Canary string `json:"canary,omitempty"`
}

// read reads and checks the settings of a Rollout.
func read(r *v1alpha1.Rollout) (settings, error) {
	var s settings
	canary := r.Spec.Strategy.Canary
	if canary == nil || canary.TrafficRouting == nil {
		return s, errors.New("the Rollout has no spec.strategy.canary.trafficRouting")
	}
	at := "spec.strategy.canary.trafficRouting.plugins[" + pluginName + "]"
	text, ok := canary.TrafficRouting.Plugins[pluginName]
	if !ok {
		return s, fmt.Errorf("the Rollout has no %s", at)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("%s: %w", at, err)
	}
	if s.Stable == "" {
		s.Stable = canary.StableService
	}
	if s.Canary == "" {
		s.Canary = canary.CanaryService
	}
	switch {
	case strings.Count(s.Route, "/") != 2:
		return s, fmt.Errorf("%s.route is %q: write NAMESPACE/NAME/ROUTE of the VirtualService", at, s.Route)
	case len(s.Servers) == 0:
		return s, fmt.Errorf("%s.servers names no server", at)
	case s.TokenFile == "":
		return s, fmt.Errorf("%s.tokenFile is missing: servers take weights from those who show their token", at)
	case s.Stable == "" || s.Canary == "":
		return s, fmt.Errorf("%s: say stable and canary, or stableService and canaryService of the Rollout", at)
	case s.Stable == s.Canary:
		return s, fmt.Errorf("%s: stable and canary are both %s", at, s.Stable)
	}
	for _, server := range s.Servers {
		if u, err := url.Parse(server); err != nil || u.Scheme != "http" || u.Host == "" || u.Path != "" {
			return s, fmt.Errorf("%s.servers: %q is not http://HOST:PORT", at, server)
		}
	}
	return s, nil
}

// addresses are those of all servers: each name is asked for again, since replicas come and go.
func (s settings) addresses(lookup func(host string) ([]string, error)) ([]string, error) {
	var out []string
	for _, server := range s.Servers {
		u, err := url.Parse(server)
		if err != nil {
			return nil, err
		}
		ips, err := lookup(u.Hostname())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", server, err)
		}
		for _, ip := range ips {
			out = append(out, "http://"+net.JoinHostPort(ip, u.Port()))
		}
	}
	return out, nil
}

// token reads the token, which may have been renewed.
func (s settings) token() (string, error) {
	text, err := os.ReadFile(s.TokenFile)
	return strings.TrimSpace(string(text)), err
}
