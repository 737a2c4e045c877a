package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/suggest"
)

// Waiver accepts differences of a change that is meant, with a reason. It is kept in the repository, so that it is reviewed
// with the change and does not outlive it: one that is about no difference is a finding.
type Waiver struct {
	Category string `yaml:"category"`
	Kind     string `yaml:"kind"`   // "": every kind
	Host     string `yaml:"host"`   // with * for any text; "": every host
	Object   string `yaml:"object"` // KIND NAMESPACE/NAME of a cause; "": every object
	Reason   string `yaml:"reason"`
	File     string `yaml:"-"`
	Line     int    `yaml:"-"`
}

// Waived is a difference and why it is accepted.
type Waived struct {
	Difference *Difference
	Reason     string
}

// String is the waiver for people.
func (w Waiver) String() string {
	var parts []string
	for _, p := range [][2]string{{"category", w.Category}, {"kind", w.Kind}, {"host", w.Host}, {"object", w.Object}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	return strings.Join(parts, ", ")
}

// ParseWaivers reads a file: a list of waivers under the key waivers.
func ParseWaivers(file string, data []byte) ([]Waiver, error) {
	var in struct {
		Waivers []yaml.Node `yaml:"waivers"`
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("%s: no list of waivers: %w", file, err)
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is a second document, and waivers are looked for in one: put them all under its key waivers", file)
	}
	var out []Waiver
	for _, n := range in.Waivers {
		w := Waiver{}
		if err := known(file, &n); err != nil {
			return nil, err
		}
		if err := n.Decode(&w); err != nil {
			return nil, fmt.Errorf("%s:%d: no waiver: %w", file, n.Line, err)
		}
		w.File, w.Line = file, n.Line
		switch {
		case strings.TrimSpace(w.Reason) == "":
			return nil, fmt.Errorf("%s:%d: the waiver has no reason: say why the difference is accepted", file, n.Line)
		case !slices.Contains(Categories(), w.Category):
			return nil, fmt.Errorf("%s:%d: %q is no category: use one of %s", file, n.Line, w.Category, strings.Join(Categories(), ", "))
		case w.Kind != "" && !slices.Contains(Kinds(), w.Kind):
			return nil, fmt.Errorf("%s:%d: %q is no kind: use one of %s", file, n.Line, w.Kind, strings.Join(Kinds(), ", "))
		}
		if _, err := path.Match(w.Host, ""); err != nil {
			return nil, fmt.Errorf("%s:%d: host %q is no pattern: %w", file, n.Line, w.Host, err)
		}
		out = append(out, w)
	}
	return out, nil
}

// known refuses a key that no waiver has: one that was meant to narrow it would leave it as wide as it is without.
func known(file string, n *yaml.Node) error {
	keys := []string{"category", "kind", "host", "object", "reason"}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if slices.Contains(keys, key.Value) || key.ShortTag() == "!!merge" {
			continue
		}
		hint := ""
		if meant := suggest.Word(key.Value, keys); meant != "" {
			hint = "; did you mean " + meant + "?"
		}
		return fmt.Errorf("%s:%d: %q is no key of a waiver, which has %s%s", file, key.Line, key.Value, strings.Join(keys, ", "), hint)
	}
	return nil
}

func (w Waiver) fits(d *Difference) bool {
	host := w.Host == "" || w.Host == d.Host
	if ok, err := path.Match(w.Host, d.Host); err == nil && ok {
		host = true
	}
	return w.Category == d.Category && (w.Kind == "" || w.Kind == d.Kind) && host &&
		(w.Object == "" || slices.ContainsFunc(d.Causes, func(c Cause) bool { return c.Object == w.Object }))
}

// Waive takes the differences that waivers accept out of a report, and notes the waivers that accept none.
func (r *Report) Waive(list []Waiver) {
	used := make([]bool, len(list))
	r.Differences = slices.DeleteFunc(r.Differences, func(d *Difference) bool {
		for i, w := range list {
			if w.fits(d) {
				used[i] = true
				r.Waived = append(r.Waived, Waived{d, w.Reason})
				return true
			}
		}
		return false
	})
	for i, w := range list {
		if !used[i] {
			r.Stale = append(r.Stale, w)
		}
	}
}

// Fails tells whether a report has a difference of one of some categories, or something undecided, which may be of any.
func (r *Report) Fails(categories []string) bool {
	return len(r.Undecided) > 0 || slices.ContainsFunc(r.Differences, func(d *Difference) bool { return slices.Contains(categories, d.Category) })
}
