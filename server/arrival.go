package server

import (
	"fmt"
	"slices"
	"strings"
)

// Arrived tells how many of the connected proxies have all of a bundle and refuse nothing of it, how many are to have it, and
// why the others do not. Those that a channel holds on another bundle are not to.
func (st Status) Arrived(digest string) (acked, all int, waiting []string) {
	for _, n := range st.Nodes {
		if n.Channel != "" && n.Bundle != digest {
			continue
		}
		all++
		if why := n.lacks(digest); why != "" {
			waiting = append(waiting, n.ID+": "+why)
			continue
		}
		acked++
	}
	return acked, all, waiting
}

// Settled tells how many proxies have what they are led to, how many there are, and why the others do not.
func (st Status) Settled() (acked, all int, waiting []string) {
	for _, n := range st.Nodes {
		if why := n.lacks(n.Bundle); why != "" {
			waiting = append(waiting, n.ID+": "+why)
			continue
		}
		acked++
	}
	return acked, len(st.Nodes), waiting
}

// Failure is why a server has given up a bundle and will not begin it again by itself; "": it has not.
func (st Status) Failure(digest string) string {
	if st.Rollout != nil && st.Rollout.Bundle == digest || st.Bundle == digest {
		return ""
	}
	for _, f := range slices.Backward(st.Failed) {
		if f.Bundle == digest {
			return f.String()
		}
	}
	return ""
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
