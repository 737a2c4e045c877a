package schema

import (
	"fmt"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// locality checks what relates the places that traffic is kept in, spread over or moved to.
func (r *rules) locality(p at, l *networking.LocalityLoadBalancerSetting) {
	if l == nil {
		return
	}
	if len(l.Distribute) > 0 && len(l.Failover) > 0 {
		r.bad(p.to("failover"), "Keep one of the two.", "distribute and failover exclude each other")
	}
	if len(l.Failover) > 0 {
		r.noPlaces(p.to("failoverPriority"), l.FailoverPriority, "failover orders the places already")
	}
	places := placeSet{}
	for i, d := range l.Distribute {
		r.place(p.to("distribute", i, "from"), d.From, places)
		r.shares(p.to("distribute", i, "to"), d.To)
	}
	for i, f := range l.Failover {
		r.regions(p.to("failover", i), f.From, f.To)
	}
}

// zoneAware checks the same for zones, whose order Envoy knows.
func (r *rules) zoneAware(p at, z *networking.ZoneAwareLoadBalancerSetting) {
	r.noPlaces(p.to("failoverPriority"), z.GetFailoverPriority(), "zone aware balancing orders the places itself")
	for i, f := range z.GetFailover() {
		r.regions(p.to("failover", i), f.From, f.To)
	}
}

// noPlaces refuses the labels of places where another setting says the order of places.
func (r *rules) noPlaces(p at, labels []string, why string) {
	for i, l := range labels {
		switch l {
		case "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone":
			r.bad(p.to(i), "Remove the label.", "the label %s cannot be in failoverPriority here: %s", l, why)
		}
	}
}

// shares holds the weights of places to 100 in all.
func (r *rules) shares(p at, to map[string]uint32) {
	total, places := uint64(0), placeSet{}
	for _, k := range keys(to) {
		if to[k] < 1 || to[k] > 100 {
			r.bad(p.to(k), "Use 1 to 100.", "the weight %d is not in the range 1 to 100", to[k])
		}
		total += uint64(to[k])
		r.place(p.to(k), k, places)
	}
	if total != 100 {
		r.bad(p, "Make them add up to 100.", "the weights of the localities add up to %d", total)
	}
}

// regions checks from where to where traffic moves.
func (r *rules) regions(p at, from, to string) {
	if from == to {
		r.bad(p.to("to"), "Name another region.", "the region %q fails over to itself", from)
	}
	for _, f := range [...]struct{ name, region string }{{"from", from}, {"to", to}} {
		if strings.ContainsAny(f.region, "/*") {
			r.bad(p.to(f.name), "Name the region alone.", "%q is no region: failover is from one whole region to another", f.region)
		}
	}
}

// placeSet holds places by what they cover.
type placeSet map[string]string

// add returns the place that covers a new one, or is covered by it; "" if none is.
func (s placeSet) add(place string) string {
	cover := strings.TrimSuffix(strings.TrimSuffix(place, "*"), "/") + "/"
	if place == "*" {
		cover = ""
	}
	for other, text := range s {
		if strings.HasPrefix(cover, other) || strings.HasPrefix(other, cover) {
			return text
		}
	}
	s[cover] = place
	return ""
}

// place checks REGION, REGION/ZONE or REGION/ZONE/SUBZONE, the last of which may be *.
func (r *rules) place(p at, place string, seen placeSet) {
	const help = "Write REGION, REGION/ZONE or REGION/ZONE/SUBZONE; * may stand at the end."
	why := ""
	switch n := strings.Count(place, "*"); {
	case n > 1 || n == 1 && !strings.HasSuffix(place, "*"):
		why = "has a * that is not its end"
	case strings.HasPrefix(place, "/") || strings.HasSuffix(place, "/") || strings.Contains(place, "//") || place == "":
		why = "has an empty part"
	default:
		if other := seen.add(place); other != "" {
			why = fmt.Sprintf("overlaps with %q", other)
		}
	}
	if why != "" {
		r.bad(p, help, "the locality %q %s", place, why)
	}
}
