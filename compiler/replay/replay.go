package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/compiler/change/behaviour"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/internal/limit"
)

// Options of a replay.
type Options struct {
	From       string                // who sent all requests, as trace.Request.From; "": by address
	Callers    map[netip.Addr]string // pods by address, where the input of base does not know them
	ServerLogs bool                  // the log has no lines of the proxies of clients, so those of servers count
}

// Report is what a log says about a change.
type Report struct {
	FormatVersion string        `json:"formatVersion"`
	Base          string        `json:"base"` // digests
	Head          string        `json:"head"`
	Lines         int           `json:"lines"`
	Requests      int           `json:"requests"` // of lines that were used
	Same          int           `json:"same"`
	Differences   []*Difference `json:"differences"`         // by kind, the gravest first, then those that meet most requests
	Unused        []*Unused     `json:"unused"`              // the most lines first
	Forgotten     int           `json:"forgotten,omitempty"` // requests that differ, in groups beyond those that are kept
}

// Difference is a group of requests that base and head treat differently in one way.
type Difference struct {
	Kind     string   `json:"kind"`
	Route    string   `json:"route,omitempty"` // of base
	To       string   `json:"to"`              // host and port
	Requests int      `json:"requests"`
	Callers  []string `json:"callers"`        // the first few
	More     bool     `json:"more,omitempty"` // there are more callers
	Base     []string `json:"base"`           // what only base does
	Head     []string `json:"head"`           // what only head does
	Examples []string `json:"examples"`       // as meshc route and *.calls files take them
}

// Unused is a group of lines that could not be used.
type Unused struct {
	Reason string `json:"reason"`
	Lines  int    `json:"lines"`
	First  int    `json:"first"` // number of the first line
	Line   string `json:"line"`  // its text, shortened
}

// Used tells whether any line gave a request.
func (r *Report) Used() bool { return r.Requests > 0 }

// Has tells whether there is a difference of a kind.
func (r *Report) Has(kind string) bool {
	return slices.ContainsFunc(r.Differences, func(d *Difference) bool { return d.Kind == kind })
}

const (
	shownCallers  = 5
	shownExamples = 3
	shownText     = 240
	longExample   = 4096 // bytes; one that is longer is shown if it is the first of its group
)

// verdict is what is known of a shape.
type verdict struct {
	difference *Difference // nil: none
	unused     string      // why lines of it are not used
}

type run struct {
	o          Options
	dir        *directory
	base, head *trace.Tracer
	headHas    map[string]bool
	asked      *asked
	shapes     *table[verdict]
	report     *Report
	groups     map[string]*Difference
	reasons    map[string]*Unused
}

// Replay reads a log, which may be compressed by gzip, and follows its requests through both bundles.
func Replay(log io.Reader, base, head *bundle.Bundle, o Options) (*Report, error) {
	a, err := newAsked(base, head)
	if err != nil {
		return nil, err
	}
	r := &run{o: o, dir: newDirectory(base), base: trace.New(base), head: trace.New(head), headHas: map[string]bool{}, asked: a, shapes: newTable[verdict](limit.ReplayShapes),
		report: &Report{FormatVersion: "1", Base: base.Digest.String(), Head: head.Digest.String()}, groups: map[string]*Difference{}, reasons: map[string]*Unused{}}
	r.dir.addCallers(o.Callers)
	for _, w := range head.Workloads {
		r.headHas[w.Namespace+"/"+w.Name] = true
	}
	if err := r.read(log); err != nil {
		return nil, err
	}
	r.finish()
	return r.report, nil
}

// read reads the log line by line.
func (r *run) read(log io.Reader) error {
	in := bufio.NewReaderSize(log, 1<<16)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("the log is no gzip file: %w", err)
		}
		in = bufio.NewReaderSize(z, 1<<16)
	}
	for {
		line, long, err := readLine(in)
		if len(line) > 0 || err == nil {
			r.report.Lines++
			switch {
			case long:
				r.skip(fmt.Sprintf("the line is longer than %d bytes", limit.ReplayLine), line)
			case len(bytes.TrimSpace(line)) > 0:
				r.line(line)
			default:
				r.report.Lines--
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
			r.skip("the compressed log breaks off here", nil)
			return nil
		case err != nil:
			return fmt.Errorf("the log cannot be read: %w", err)
		}
	}
}

// readLine reads a line; of one that is too long the first part.
func readLine(in *bufio.Reader) (line []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if room := limit.ReplayLine - len(line); len(part) > room {
			part, long = part[:room], true
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, long, err
		}
	}
}

func (r *run) line(line []byte) {
	e, err := parseLine(line)
	if err != nil {
		r.skip(err.Error(), line)
		return
	}
	s, err := r.dir.senderOf(&e, r.o)
	if err != nil {
		r.skip(err.Error(), line)
		return
	}
	key := shapeKey(r.asked.shape(&e, s))
	v, known := r.shapes.get(key)
	if !known {
		v = r.judge(&e, s)
		r.shapes.put(key, v)
	}
	switch {
	case v.unused != "":
		r.skip(v.unused, line)
		return
	case v.difference == nil:
		r.report.Same++
	case v.difference.Kind == "":
		r.report.Forgotten++
	default:
		v.difference.Requests++
	}
	r.report.Requests++
}

// judge follows the request of a line through both bundles.
func (r *run) judge(e *entry, s sender) verdict {
	req, err := r.dir.request(e, s, r.asked.headers["user-agent"])
	if err != nil {
		return verdict{unused: err.Error()}
	}
	if _, err := url.Parse(req.URL); err != nil {
		return verdict{unused: "what it asks for is no URL"}
	}
	if name := strings.TrimPrefix(s.from, "gateway "); r.o.From == "" && !s.outside && !r.headHas[name] {
		return verdict{unused: "HEAD has no " + s.from + ", so it sends no requests"}
	}
	before, errBefore := r.base.Walk(req)
	if errBefore != nil {
		return verdict{unused: "BASE cannot say where it goes: " + errBefore.Error()}
	}
	if why := disagrees(e, before); why != "" {
		return verdict{unused: why}
	}
	after, errAfter := r.head.Walk(req)
	b, h := behaviour.Of(before, nil), behaviour.Of(after, errAfter)
	kind := behaviour.Kind(b, h)
	if kind == "" {
		return verdict{}
	}
	return verdict{difference: r.group(kind, req, e, routeOf(before), b, h)}
}

// group finds the group of a difference, and shows the request as an example of it.
func (r *run) group(kind string, req trace.Request, e *entry, route string, b, h behaviour.Behaviour) *Difference {
	host, port := r.dir.target(e, sender{from: req.From})
	to := fmt.Sprintf("%s:%d", host, port)
	key := fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%s", kind, route, to, b.Key(), h.Key())
	d := r.groups[key]
	if d == nil {
		if len(r.groups) >= limit.ReplayGroups {
			return &Difference{}
		}
		d = &Difference{Kind: kind, Route: route, To: to}
		d.Base, d.Head = b.Apart(h)
		r.groups[key] = d
		r.report.Differences = append(r.report.Differences, d)
	}
	if !slices.Contains(d.Callers, req.From) {
		if d.More = len(d.Callers) >= shownCallers; !d.More {
			d.Callers = append(d.Callers, req.From)
		}
	}
	if call := req.Call(); len(d.Examples) == 0 || len(call) <= longExample && len(d.Examples) < shownExamples && !slices.Contains(d.Examples, call) {
		d.Examples = append(d.Examples, call)
	}
	return d
}

// skip counts a line that is not used.
func (r *run) skip(reason string, line []byte) {
	u := r.reasons[reason]
	if u == nil {
		if len(r.reasons) >= limit.ReplayReasons {
			reason = "another reason"
			if u = r.reasons[reason]; u != nil {
				u.Lines++
				return
			}
		}
		text := strings.ToValidUTF8(string(bytes.TrimSpace(line[:min(len(line), shownText)])), "?")
		u = &Unused{Reason: reason, First: r.report.Lines, Line: text}
		r.reasons[reason] = u
		r.report.Unused = append(r.report.Unused, u)
	}
	u.Lines++
}

// finish sorts the report.
func (r *run) finish() {
	rank := func(k string) int { return slices.Index(change.Kinds(), k) }
	slices.SortStableFunc(r.report.Differences, func(a, b *Difference) int {
		return cmp.Or(rank(a.Kind)-rank(b.Kind), b.Requests-a.Requests, cmp.Compare(a.Route, b.Route), cmp.Compare(a.To, b.To))
	})
	slices.SortStableFunc(r.report.Unused, func(a, b *Unused) int { return cmp.Or(b.Lines-a.Lines, a.First-b.First) })
	if r.report.Differences == nil {
		r.report.Differences = []*Difference{}
	}
	if r.report.Unused == nil {
		r.report.Unused = []*Unused{}
	}
}
