package server

import (
	"fmt"
	"strings"
)

// Arrived tells how many of the connected proxies have all of a bundle and refuse nothing of it, how many there are, and why
// the others do not.
func (st Status) Arrived(digest string) (acked, all int, waiting []string) {
	for _, n := range st.Nodes {
		if why := n.lacks(digest); why != "" {
			waiting = append(waiting, n.ID+": "+why)
			continue
		}
		acked++
	}
	return acked, len(st.Nodes), waiting
}

// lacks is why a proxy does not have a bundle; "": it does.
func (n NodeStatus) lacks(digest string) string {
	switch {
	case n.Kept != "":
		return n.Kept
	case n.Bundle != digest:
		return "is led to " + n.Bundle
	case len(n.NACKs) > 0:
		k := n.NACKs[0]
		return fmt.Sprintf("refuses %s (%s): %s", strings.Join(k.Resources, ", "), strings.Join(k.Origins, ", "), k.Error)
	case !n.Synced:
		return "has not acknowledged all of it yet"
	}
	return ""
}
