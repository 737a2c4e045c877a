package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client bounds what a server that hangs can cost: the controller waits for the plugin.
var client = &http.Client{Timeout: 10 * time.Second}

// mostBytes of an answer are read.
const mostBytes = 16 << 20

// route is what GET /weights tells of a live route.
type route struct {
	Route        string        `json:"route"`
	Destinations []destination `json:"destinations"`
	Orphan       bool          `json:"orphan"`
	Proxies      int           `json:"proxies"` // connected, that have the route
	Acked        int           `json:"acked"`   // of them, that have acknowledged the weights
}

// destination is one that a route leads to.
type destination struct {
	Name string  `json:"name"` // HOST/SUBSET, or HOST
	Rest uint32  `json:"rest"`
	Live *uint32 `json:"live"` // absent: that at rest holds
}

// weight is what the destination has now.
func (d destination) weight() uint32 {
	if d.Live != nil {
		return *d.Live
	}
	return d.Rest
}

// called tells whether a destination is meant by a name: its subset, its host or the first label of that, or both with a slash.
func (d destination) called(name string) bool {
	host, subset, _ := strings.Cut(d.Name, "/")
	first, _, _ := strings.Cut(host, ".")
	return name == d.Name || subset != "" && name == subset || subset == "" && (name == host || name == first)
}

// find asks a server for a route.
func find(address, name string) (*route, error) {
	resp, err := client.Get(address + "/weights")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(address, resp)
	}
	var list []route
	if err := json.NewDecoder(io.LimitReader(resp.Body, mostBytes)).Decode(&list); err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	for _, r := range list {
		if r.Route == name && !r.Orphan {
			return &r, nil
		}
	}
	return nil, fmt.Errorf("%s has no live route %s: its VirtualService wants the annotation meshc.dev/live-weights, and the route a name", address, name)
}

// put sets weights by destination at a server, or releases them without any.
func put(address, token, name string, weights map[string]uint32) error {
	body, err := json.Marshal(map[string]any{"route": name, "weights": weights})
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPut, address+"/weights", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return refusal(address, resp)
	}
	return nil
}

// refusal is why a server did not do what was asked.
func refusal(address string, resp *http.Response) error {
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return fmt.Errorf("%s: %s: %s", address, resp.Status, strings.TrimSpace(string(why)))
}
