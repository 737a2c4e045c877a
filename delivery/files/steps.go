package files

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// Steps are the sets that lead from one state to another, the last of which is the new one: first the clusters of both, then
// the routes and listeners of the new with the clusters of both, then the new alone. Where there is nothing before, or
// nothing changes, there is but one step.
func Steps(before, after Set) ([]Set, error) {
	if before == nil || before.ID() == after.ID() {
		return []Set{after}, nil
	}
	both, err := union(before[clustersFile], after[clustersFile])
	if err != nil {
		return nil, err
	}
	// The endpoints and secrets of clusters are those of the new state at once: they are of clusters of the same names.
	first := maps.Clone(before)
	second := maps.Clone(before)
	for name, data := range after {
		second[name] = data
		if strings.HasPrefix(name, endpointsFolder+"/") || strings.HasPrefix(name, secretsFolder+"/") {
			first[name] = data
		}
	}
	first[clustersFile], second[clustersFile] = both, both
	return []Set{first, second, after}, nil
}

// union are the clusters of two answers; of those in both, the second's.
func union(before, after []byte) ([]byte, error) {
	var a, b answer
	if err := json.Unmarshal(before, &a); err != nil {
		return nil, fmt.Errorf("the clusters in force cannot be read: %w", err)
	}
	if err := json.Unmarshal(after, &b); err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, c := range b.Resources {
		name, err := nameOf(c)
		if err != nil {
			return nil, err
		}
		have[name] = true
	}
	for _, c := range a.Resources {
		name, err := nameOf(c)
		if err != nil {
			return nil, fmt.Errorf("the clusters in force cannot be read: %w", err)
		}
		if !have[name] {
			b.Resources = append(b.Resources, c)
		}
	}
	return b.text()
}

func nameOf(resource json.RawMessage) (string, error) {
	var r struct {
		Name string `json:"name"`
	}
	err := json.Unmarshal(resource, &r)
	return r.Name, err
}
