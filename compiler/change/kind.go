package change

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/change/report"
	"github.com/meshc/meshc/compiler/change/topics"
)

// compareOutcomes says of which kind and category the difference between two outcomes of one request is; "" where people see
// none: two refusals are alike whatever their reason, and so are two connections that no proxy touches.
func compareOutcomes(a, b *outcome) (kind, category string) {
	switch {
	case a.key == b.key, a.untouched && b.untouched && (a.bare || b.bare || a.via != b.via):
		return "", ""
	case a.passes < b.passes:
		return Opened, borderCategory(a, b, AccessWidened)
	case a.passes > b.passes:
		return Closed, borderCategory(b, a, AccessNarrowed)
	case a.passes == refused:
		if a.status != b.status && (a.answer || b.answer) || a.end != b.end && a.answer && b.answer {
			return Moved, Routing
		}
		return "", ""
	case a.end != b.end:
		return Moved, movedCategory(a, b)
	}
	loud, quiet := differing(a.settings, b.settings)
	switch {
	case len(loud) > 0:
		return Changed, gravest(loud)
	case len(quiet) > 0:
		// What stands for later decides only where nothing else differs.
		if now := slices.DeleteFunc(slices.Clone(quiet), func(s setting) bool { return s.latent }); len(now) > 0 {
			return Tuned, gravest(now)
		}
		return Tuned, gravest(quiet)
	}
	return "", ""
}

// borderCategory is that of a request which only one side lets through; access is the category if a rule about access decides.
func borderCategory(bad, good *outcome, access string) string {
	switch bad.reason {
	case byPolicy, byToken, byGateway, byAuthorizer:
		return access
	case byTLS:
		if bad.gateway {
			return access
		}
		return Encryption
	case byBlackHole:
		if good.leaves {
			return Egress
		}
		return Availability
	}
	if good.leaves && (bad.leaves || bad.reason == byAnswer) {
		return Egress
	}
	return Availability
}

// movedCategory is that of requests that end elsewhere. Where only others of the same places are preferred, that is balancing.
func movedCategory(a, b *outcome) string {
	if a.places != "" && a.places == b.places {
		return Tuning
	}
	if a.leaves || b.leaves {
		return Egress
	}
	return Routing
}

// differing returns the settings that only one of two outcomes has, those that a single request shows apart from the others.
func differing(a, b []setting) (loud, quiet []setting) {
	only := func(x, y []setting, head bool) {
		for _, s := range x {
			if !s.missing(y) {
				continue
			}
			s.topic = access(s.topic, head)
			if s.quiet() {
				quiet = append(quiet, s)
			} else {
				loud = append(loud, s)
			}
		}
	}
	only(a, b, false)
	only(b, a, true)
	return loud, quiet
}

// onlyLatent tells whether no request of today shows what differs.
func onlyLatent(a, b []setting) bool {
	loud, quiet := differing(a, b)
	return len(loud) == 0 && !slices.ContainsFunc(quiet, func(s setting) bool { return !s.latent })
}

// onlyKeys tells whether nothing differs but where keys are fetched from.
func onlyKeys(a, b []setting) bool {
	loud, quiet := differing(a, b)
	fetched := func(x, y []setting) (n int) {
		for _, s := range x {
			if s.keys && s.missing(y) {
				n++
			}
		}
		return n
	}
	before, after := fetched(a, b), fetched(b, a)
	return before > 0 && before == after && len(loud) == before+after && len(quiet) == 0
}

// gravest is the gravest category of some settings.
func gravest(list []setting) string {
	all := Categories()
	best := len(all) - 1
	for _, s := range list {
		best = min(best, slices.Index(all, s.topic))
	}
	return all[max(best, 0)]
}

// setting is one thing that is done to a request on its way, or a limit of the way, as a value.
type setting struct {
	topic string // a category; "": it says only which one others are details of
	name  string
	value string
	show  bool // a single request shows it, though its topic is tuning
	// latent: no request of today shows it, since it is about endpoints that are yet to come, or about servers that speak first.
	latent bool
	// keys: where the keys of an issuer are fetched from. Whether other ones are there the input does not say.
	keys bool
	// with is another setting of the same list that this one is a detail of: where only one side has that, its details say no more.
	with string
}

// text identifies a setting that others are details of.
func (s setting) text() string { return s.name + " " + s.value }

// missing tells whether another list lacks a setting, and no more than it: not what it is a detail of.
func (s setting) missing(list []setting) bool {
	return s.topic != "" && !slices.Contains(list, s) && (s.with == "" || slices.ContainsFunc(list, func(o setting) bool { return o.text() == s.with }))
}

// quiet settings show only under load, or nowhere in the answer.
func (s setting) quiet() bool {
	return s.latent || !s.show && (s.topic == Tuning || s.topic == Observability)
}

// settingsText says what differs between two lists of settings, for people: of one that both have with long values what differs in them.
func settingsText(a, b []setting) (before, after string) {
	only := func(x, y []setting, shown func(own, other string) string) string {
		var out []string
		for _, s := range x {
			if !s.missing(y) {
				continue
			}
			other := ""
			if i := slices.IndexFunc(y, func(o setting) bool { return o.name == s.name && o.missing(x) }); i >= 0 {
				other = y[i].value
			}
			out = append(out, strings.TrimSpace(s.name+" "+shown(s.value, other)))
		}
		return strings.Join(out, ", ")
	}
	before = only(a, b, func(own, other string) string { text, _ := report.Apart(own, other); return text })
	return before, only(b, a, func(own, other string) string { _, text := report.Apart(other, own); return text })
}

func access(topic string, head bool) string {
	switch {
	case topic == topics.Grant && head, topic == topics.Guard && !head:
		return AccessWidened
	case topic == topics.Grant, topic == topics.Guard:
		return AccessNarrowed
	}
	return topic
}
