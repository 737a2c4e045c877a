package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/server"
)

func newWeights(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "weights",
		Short: "Set the weights of live routes while the mesh runs",
		Long: `weights moves requests between the destinations of a route without a new bundle: each proxy that has the route is sent one
small resource. Routes that may be moved so are named in the annotation meshc.dev/live-weights of their VirtualService; the weights
of the file are those at rest. What is set stays, over bundles that arrive and restarts of a server with --keep, until it is released.`,
		Args: noVerb,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newWeightsGet(a), newWeightsSet(a), newWeightsRelease(a))
	return c
}

func newWeightsGet(a *app) *cobra.Command {
	var m commander
	var output string
	c := &cobra.Command{
		Use:     "get [ROUTE]",
		Short:   "Show live routes, their weights at rest and those that are set, and how many proxies have them",
		Example: "  meshc weights get\n  meshc weights get shop/reviews/main -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			lists := map[string][]server.LiveStatus{}
			found := len(args) == 0
			for _, s := range m.servers {
				var list []server.LiveStatus
				if err := m.ask(c.Context(), s, http.MethodGet, "/weights", nil, &list); err != nil {
					return err
				}
				for _, l := range list {
					if len(args) == 0 || l.Route == args[0] {
						lists[s] = append(lists[s], l)
						found = true
					}
				}
			}
			if !found {
				return fmt.Errorf("no server has a live route %s", args[0])
			}
			if output == "json" {
				e := json.NewEncoder(a.stdout)
				e.SetIndent("", "  ")
				return e.Encode(lists)
			}
			for _, s := range m.servers {
				for _, l := range lists[s] {
					if _, err := io.WriteString(a.stdout, s+"  "+liveText(l)+"\n"); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	formatFlag(c, &output, "text", "json")
	m.flags(c.Flags())
	return c
}

// liveText is a route with its weights in one line.
func liveText(l server.LiveStatus) string {
	var parts []string
	seen := map[string]bool{}
	for _, d := range l.Destinations {
		text := fmt.Sprintf("%s=%d", d.Name, d.Rest)
		if d.Live != nil {
			text = fmt.Sprintf("%s=%d (at rest %d)", d.Name, *d.Live, d.Rest)
		}
		if !seen[text] {
			seen[text] = true
			parts = append(parts, text)
		}
	}
	out := l.Route + "  " + strings.Join(parts, ", ")
	switch {
	case l.Orphan:
		return l.Route + "  is set, and no bundle in service has it; meshc weights release " + l.Route
	case l.Since != nil:
		out += fmt.Sprintf("  set since %s, %d of %d proxies have it", l.Since.Format(time.RFC3339), l.Acked, l.Proxies)
	default:
		out += fmt.Sprintf("  at rest, %d proxies", l.Proxies)
	}
	if len(l.Origins) > 0 {
		out += "  " + l.Origins[0]
	}
	return out
}

func newWeightsSet(a *app) *cobra.Command {
	return newWeighing(a, &cobra.Command{
		Use:   "set ROUTE DESTINATION=WEIGHT...",
		Short: "Set the weights of a route, and wait until all its proxies have them",
		Long: `set gives each destination of a live route a weight, and returns when all proxies that have the route and are connected have
acknowledged it. ROUTE is NAMESPACE/NAME/ROUTE of its VirtualService. DESTINATION is a subset, a host, or HOST/SUBSET; all of the
route have to be named. Weights are shares of their sum.

Exit code: 0 when all proxies have them, 1 when some have not within --timeout; they are set all the same.`,
		Example: `  meshc weights set shop/reviews/main v1=50 v2=50 --token token`,
		Args:    cobra.MinimumNArgs(2),
	}, parseWeights)
}

func newWeightsRelease(a *app) *cobra.Command {
	return newWeighing(a, &cobra.Command{
		Use:     "release ROUTE",
		Short:   "Have the weights of the bundle hold again",
		Example: "  meshc weights release shop/reviews/main",
		Args:    cobra.ExactArgs(1),
	}, nil)
}

// newWeighing makes a verb that changes the weights of its first argument, a route, and waits for the proxies. weights reads
// those of the other arguments; nil: the verb takes none, and those of the bundle hold again.
func newWeighing(a *app, c *cobra.Command, weights func(args []string) (map[string]uint32, error)) *cobra.Command {
	var m commander
	var timeout time.Duration
	c.RunE = func(c *cobra.Command, args []string) error {
		req := server.WeightsRequest{Route: args[0]}
		if weights != nil {
			var err error
			if req.Weights, err = weights(args[1:]); err != nil {
				return err
			}
		}
		if err := m.weigh(c.Context(), req); err != nil {
			return err
		}
		return a.awaitWeights(c.Context(), &m, args[0], timeout)
	}
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait for the proxies; 0 for not at all")
	m.flags(c.Flags())
	return c
}

// weigh gives a command about weights to all servers.
func (m *commander) weigh(ctx context.Context, req server.WeightsRequest) error {
	return m.each(func(s string) error {
		var out server.LiveStatus
		return m.ask(ctx, s, http.MethodPut, "/weights", req, &out)
	})
}

func parseWeights(args []string) (map[string]uint32, error) {
	out := map[string]uint32{}
	for _, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		n, err := strconv.ParseUint(text, 10, 32)
		if !ok || err != nil || name == "" {
			return nil, fmt.Errorf("%s: write DESTINATION=WEIGHT, a whole number", arg)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%s is given two weights", name)
		}
		out[name] = uint32(n)
	}
	return out, nil
}

// awaitWeights returns when all proxies of a route have its weights.
func (a *app) awaitWeights(ctx context.Context, m *commander, route string, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	for {
		acked, all, text := 0, 0, ""
		for _, s := range m.servers {
			var list []server.LiveStatus
			if err := m.ask(ctx, s, http.MethodGet, "/weights", nil, &list); err != nil {
				return err
			}
			for _, l := range list {
				if l.Route == route {
					acked, all = acked+l.Acked, all+l.Proxies
					text += s + "  " + liveText(l) + "\n"
				}
			}
		}
		if acked == all || !time.Now().Before(end) {
			if _, err := io.WriteString(a.stdout, text); err != nil || acked == all || timeout == 0 {
				return err
			}
			fmt.Fprintf(a.stderr, "meshc: after %v %d of %d proxies have the weights\n", timeout, acked, all)
			return errFindings
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
