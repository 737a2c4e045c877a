package httpmatch

import (
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/sets"
)

// Order decides what is left of matches behind those that come before them, by the sets of requests that meet them. It has a
// budget for all of its questions: beyond it nothing more is found, and nothing is said wrongly.
type Order struct {
	left  int
	conds map[*networking.HTTPMatchRequest]*condition // nil: one that cannot be read
}

// condition is what a request has to meet for a match.
type condition struct {
	when       sets.Cond
	dimensions []sets.Dimension // of headers and parameters, which may be away
}

const (
	allSteps      = 500_000 // of all questions: a second or two of work
	questionSteps = 5_000   // of one question
	maxBefore     = 30      // matches that are held against one together
)

// NewOrder returns an Order with its whole budget.
func NewOrder() *Order {
	return &Order{left: allSteps, conds: map[*networking.HTTPMatchRequest]*condition{}}
}

// Left, Together and Nobody stand for the place of a match, where none by itself takes the requests of another.
const (
	Left     = -1 // some request is left for it
	Together = -2 // several take all of its requests together
	Nobody   = -3 // no request meets it at all
)

// Taken returns the place of the first match that takes all requests which meet another, or one of Left, Together and Nobody.
func (o *Order) Taken(m *networking.HTTPMatchRequest, before []*networking.HTTPMatchRequest) int {
	var near []*networking.HTTPMatchRequest
	var at []int
	for i, b := range before {
		if Covers(b, m) {
			return i
		}
		if Overlap(b, m) != Never && o.of(b) != nil {
			near, at = append(near, b), append(at, i)
		}
	}
	if (contradicts(m) || len(near) > 0) && o.empty(m, nil) {
		return Nobody
	}
	if len(near) == 0 || len(near) > maxBefore || !o.empty(m, near) {
		return Left
	}
	for i, b := range near {
		if o.empty(m, []*networking.HTTPMatchRequest{b}) {
			return at[i]
		}
	}
	return Together
}

// Meet tells whether some request meets both matches. It says no where it cannot tell.
func (o *Order) Meet(a, b *networking.HTTPMatchRequest) bool {
	switch Overlap(a, b) {
	case Never:
		return false
	case Sure:
		return true
	case Perhaps: // sets decide
	}
	x, y := o.of(a), o.of(b)
	if x == nil || y == nil {
		return false
	}
	found, known := o.find(x.when.And(y.when), x, y)
	return known && found
}

// contradicts tells whether a match wants and refuses one header, so that perhaps no request meets it.
func contradicts(m *networking.HTTPMatchRequest) bool {
	for k := range m.GetWithoutHeaders() {
		if _, ok := m.GetHeaders()[k]; ok {
			return true
		}
	}
	return false
}

// empty tells whether no request meets a match and none of the others.
func (o *Order) empty(m *networking.HTTPMatchRequest, others []*networking.HTTPMatchRequest) bool {
	c := o.of(m)
	if c == nil {
		return false
	}
	rest, all := c.when, []*condition{c}
	for _, b := range others {
		if x := o.of(b); x != nil {
			rest, all = rest.And(x.when.Not()), append(all, x)
		}
	}
	found, known := o.find(rest, all...)
	return known && !found
}

// find tells whether some request meets what was made of conditions, and whether that is known.
func (o *Order) find(when sets.Cond, of ...*condition) (found, known bool) {
	if o.left < questionSteps {
		return false, false
	}
	dimensions := []sets.Dimension{sets.Path(), sets.Method(), sets.Authority()}
	for _, c := range of {
		dimensions = append(dimensions, c.dimensions...)
	}
	space := sets.NewSpace(dimensions...)
	_, found, err := space.Find(when, nil, questionSteps)
	o.left -= questionSteps - space.Left()
	return found, err == nil
}

// of is a match as a condition, nil if it cannot be read.
func (o *Order) of(m *networking.HTTPMatchRequest) *condition {
	c, ok := o.conds[m]
	if !ok {
		c = conditionOf(m)
		o.conds[m] = c
	}
	return c
}

// Dimensions beside those that sets has by itself; a header, a parameter and a label have one each.
const (
	schemeDimension    = "scheme"
	gatewayDimension   = "gateway"
	namespaceDimension = "namespace"
	labelDimension     = "label:"
)

// conditionOf is a match as it is lowered: a header that is away does not have a value.
func conditionOf(m *networking.HTTPMatchRequest) *condition {
	out := &condition{}
	var all []sets.Cond
	readable := true
	text := func(sm *networking.StringMatch, fold bool) sets.Strings {
		s, err := texts(sm, fold)
		readable = readable && err == nil
		return s
	}
	if !root(m.GetUri()) {
		all = append(all, sets.In("path", text(m.GetUri(), m.GetIgnoreUriCase())))
	}
	for _, part := range []struct {
		dimension string
		match     *networking.StringMatch
	}{{"method", m.GetMethod()}, {schemeDimension, m.GetScheme()}, {"authority", m.GetAuthority()}} {
		if part.match != nil {
			all = append(all, sets.In(part.dimension, text(part.match, false)))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m.GetHeaders())) { // in one order, so that a budget ends at one place
		all = append(all, sets.In(out.header(k), text(m.GetHeaders()[k], false)))
	}
	for _, k := range slices.Sorted(maps.Keys(m.GetWithoutHeaders())) {
		sm := m.GetWithoutHeaders()[k]
		s := text(sm, false)
		if !anything(sm) && s.Has("") {
			s = s.OrAbsent()
		}
		all = append(all, sets.In(out.header(k), s).Not())
	}
	for _, k := range slices.Sorted(maps.Keys(m.GetQueryParams())) {
		all = append(all, sets.In(out.dimension(sets.QueryParameter(k)), text(m.GetQueryParams()[k], false)))
	}
	out.when = sets.All(append(all, source(m)...)...)
	if !readable {
		return nil
	}
	return out
}

// source is what a match asks of where a request comes from and goes to.
func source(m *networking.HTTPMatchRequest) (all []sets.Cond) {
	if m.GetPort() != 0 {
		all = append(all, sets.In(sets.Port, sets.OnePort(uint16(m.GetPort()))))
	}
	if len(m.GetGateways()) > 0 { // and then the workload is not looked at
		return append(all, sets.In(gatewayDimension, sets.OneOf(m.GetGateways()...)))
	}
	if m.GetSourceNamespace() != "" {
		all = append(all, sets.In(namespaceDimension, sets.OneOf(m.GetSourceNamespace())))
	}
	for _, k := range slices.Sorted(maps.Keys(m.GetSourceLabels())) {
		all = append(all, sets.In(labelDimension+k, sets.OneOf(m.GetSourceLabels()[k])))
	}
	return all
}

// header names the dimension of a header, whose name has no case; one of Envoy's own is that of the request.
func (c *condition) header(name string) string {
	switch name = strings.ToLower(name); name {
	case ":method", ":authority":
		return name[1:]
	}
	return c.dimension(sets.Header(name))
}

func (c *condition) dimension(d sets.Dimension) string {
	c.dimensions = append(c.dimensions, d)
	return d.Name
}

// texts are those that a condition means.
func texts(m *networking.StringMatch, fold bool) (sets.Strings, error) {
	if anything(m) {
		return sets.AnyString(), nil
	}
	switch kind, text := value(m, false); kind {
	case 'e':
		return sets.Exact(text, fold), nil
	case 'p':
		return sets.Prefix(text, fold), nil
	default:
		return sets.Regex(text)
	}
}
