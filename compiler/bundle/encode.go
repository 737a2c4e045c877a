package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sort"
	"strconv"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/names"
)

// index is index.json: parallel to Bundle.Resources.
type indexEntry struct {
	Type     int                `json:"type"` // position in types
	Name     string             `json:"name"`
	Digest   string             `json:"digest"` // hex
	Offset   int                `json:"offset"`
	Length   int                `json:"length"`
	Selector *endpoint.Selector `json:"endpoints,omitempty"`
	Join     *endpoint.Join     `json:"join,omitempty"`
}

type index struct {
	Types       []string       `json:"types"`
	TrustDomain string         `json:"trustDomain,omitempty"`
	Services    []Service      `json:"services,omitempty"`
	Plan        *endpoint.Plan `json:"plan,omitempty"`

	Requirements []requirementEntry `json:"requirements,omitempty"`
	Resources    []indexEntry       `json:"resources"`
}

type setEntry struct {
	Digest    string `json:"digest"`
	Resources string `json:"resources"` // ranges of positions, as 0-174,180
}

// origins is origins.json. Files and objects are written once, origins refer to them by position.
type origins struct {
	Files     []string       `json:"files"`
	Objects   [][3]string    `json:"objects"`   // kind, namespace, name
	Resources []resourceFrom `json:"resources"` // parallel to Bundle.Resources
}

type resourceFrom []originEntry

type originEntry struct {
	At     names.Part `json:"at,omitzero"`
	File   int        `json:"file"`
	Line   int        `json:"line"`
	Column int        `json:"column,omitempty"`
	Object int        `json:"object"`
	Field  string     `json:"field,omitempty"`
}

// encode renders the files and sets the digests.
func (b *Bundle) encode() error {
	size := 0
	for _, r := range b.Resources {
		size += len(r.Bytes)
	}
	blob := make([]byte, 0, size)
	ix := make([]byte, 0, 220*len(b.Resources)+512)
	ix = append(ix, `{"types":`...)
	ix = appendJSON(ix, Types())
	if b.TrustDomain != "" {
		ix = appendString(append(ix, `,"trustDomain":`...), b.TrustDomain)
	}
	if len(b.Services) > 0 {
		ix = append(appendList(append(ix, `,"services":[`...), b.Services), ']')
	}
	if b.Plan != nil {
		ix = appendJSON(append(ix, `,"plan":`...), b.Plan)
	}
	if list := b.requirementEntries(); len(list) > 0 {
		ix = append(appendList(append(ix, `,"requirements":[`...), list), ']')
	}
	ix = append(ix, `,"resources":[`...)
	for i, r := range b.Resources {
		ix = appendComma(ix, i)
		ix = append(ix, `{"type":`...)
		ix = strconv.AppendInt(ix, int64(typeRank(r.Type)), 10)
		ix = append(ix, `,"name":`...)
		ix = appendString(ix, r.Name)
		ix = append(append(append(ix, `,"digest":"`...), r.Digest.Hex()...), `","offset":`...)
		ix = strconv.AppendInt(ix, int64(len(blob)), 10)
		ix = append(ix, `,"length":`...)
		ix = strconv.AppendInt(ix, int64(len(r.Bytes)), 10)
		if r.Selector != nil {
			ix = append(ix, `,"endpoints":`...)
			ix = appendJSON(ix, r.Selector)
		}
		if r.Join != nil {
			ix = appendJoin(append(ix, `,"join":`...), r.Join)
		}
		ix = append(ix, '}')
		blob = append(blob, r.Bytes...)
	}
	ix = append(ix, "\n]}\n"...)
	workloads := appendList([]byte(`{"workloads":[`), b.Workloads)
	b.files = []file{
		{indexFile, ix}, {originsFile, b.encodeOrigins()}, {resourcesFile, blob}, {setsFile, b.encodeSets()}, {workloadsFile, append(workloads, "\n]}\n"...)},
	}
	m, err := b.encodeManifest()
	if err != nil {
		return err
	}
	b.Digest = sha256.Sum256(m)
	b.files = append(b.files, file{manifestFile, m}, file{provenanceFile, b.encodeProvenance()}, file{digestFile, b.encodeDigests()})
	sort.Slice(b.files, func(i, j int) bool { return b.files[i].name < b.files[j].name })
	return b.limits()
}

func (b *Bundle) encodeManifest() ([]byte, error) {
	m := manifest{FormatVersion: FormatVersion, EnvoyMin: b.EnvoyMin, Files: map[string]fileEntry{},
		Selectors: []Selector{}, Classes: []classEntry{}}
	for _, f := range b.files {
		if !slices.Contains(outside(), f.name) {
			m.Files[f.name] = entryOf(f.data)
		}
	}
	head, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	// One line per selector and class: a manifest is read by people and by line-wise tools, too.
	out := bytes.TrimSuffix(head, []byte(`"selectors":[],"classes":[]}`))
	out = append(append(make([]byte, 0, 300*len(b.Classes)+len(out)+64), out...), `"selectors":[`...)
	out = append(appendList(out, b.Selectors), "\n],\"classes\":["...)
	entries := make([]classEntry, len(b.Classes))
	for i, c := range b.Classes {
		e := classEntry{ID: c.ID, Gateway: c.Gateway, Namespace: c.Namespace, Selectors: c.Selectors, Workloads: c.Workloads,
			ServiceAccounts: c.ServiceAccounts, Sets: make([]string, len(c.Sets))}
		for j, s := range c.Sets {
			e.Sets[j] = s.Digest.String()
		}
		entries[i] = e
	}
	return append(appendList(out, entries), "\n]}\n"...), nil
}

func (b *Bundle) encodeSets() []byte {
	out := []byte(`{"sets":[`)
	for i, s := range b.Sets {
		out = appendComma(out, i)
		out = append(append(append(out, `{"digest":"`...), s.Digest.String()...), `","resources":"`...)
		out = appendRanges(out, len(s.Resources), func(j int) int { return int(s.Resources[j].index) })
		out = append(out, `"}`...)
	}
	return append(out, "\n]}\n"...)
}

func (b *Bundle) encodeOrigins() []byte {
	files, objects := newTable[string](), newTable[[3]string]()
	for _, r := range b.Resources {
		for i := range r.Origins {
			o := &r.Origins[i]
			files.add(o.File)
			objects.add([3]string{o.Kind, o.Namespace, o.Name})
		}
	}
	files.sort(func(a, b string) bool { return a < b })
	objects.sort(func(a, b [3]string) bool {
		return a[0] < b[0] || a[0] == b[0] && (a[1] < b[1] || a[1] == b[1] && a[2] < b[2])
	})
	out := appendJSON([]byte(`{"files":`), files.list)
	out = appendJSON(append(out, `,"objects":`...), objects.list)
	out = append(out, `,"resources":[`...)
	for i, r := range b.Resources {
		out = append(appendComma(out, i), '[')
		for j := range r.Origins {
			if j > 0 {
				out = append(out, ',')
			}
			o := &r.Origins[j]
			out = append(out, '{')
			out = appendPart(out, o.At)
			out = strconv.AppendInt(append(out, `"file":`...), int64(files.at[o.File]), 10)
			out = strconv.AppendInt(append(out, `,"line":`...), int64(o.Line), 10)
			if o.Column != 0 {
				out = strconv.AppendInt(append(out, `,"column":`...), int64(o.Column), 10)
			}
			out = strconv.AppendInt(append(out, `,"object":`...), int64(objects.at[[3]string{o.Kind, o.Namespace, o.Name}]), 10)
			if o.Field != "" {
				out = appendString(append(out, `,"field":`...), o.Field)
			}
			out = append(out, '}')
		}
		out = append(out, ']')
	}
	return append(out, "\n]}\n"...)
}

// appendPart is appendJSON for the part of an origin, with what follows it.
func appendPart(out []byte, p names.Part) []byte {
	switch p.Kind {
	case names.Whole:
		return out
	case names.Route:
		out = append(append(append(out, `"at":{"part":"`...), p.Kind.String()...), `","index":`...)
		return append(strconv.AppendInt(out, int64(p.Index), 10), "},"...)
	default:
		out = append(append(append(out, `"at":{"part":"`...), p.Kind.String()...), `","name":`...)
		return append(appendString(out, p.Name), "},"...)
	}
}

// table numbers distinct values.
type table[T comparable] struct {
	at   map[T]int
	list []T
}

func newTable[T comparable]() *table[T] { return &table[T]{at: map[T]int{}, list: []T{}} }

func (t *table[T]) add(v T) {
	if _, ok := t.at[v]; !ok {
		t.at[v] = len(t.list)
		t.list = append(t.list, v)
	}
}

func (t *table[T]) sort(less func(a, b T) bool) {
	sort.Slice(t.list, func(i, j int) bool { return less(t.list[i], t.list[j]) })
	for i, v := range t.list {
		t.at[v] = i
	}
}

func appendComma(out []byte, i int) []byte {
	if i > 0 {
		out = append(out, ',')
	}
	return append(out, '\n')
}

func appendList[T any](out []byte, list []T) []byte {
	for i := range list {
		out = appendJSON(appendComma(out, i), &list[i])
	}
	return out
}

// appendJoin is appendJSON for a join; most have no more than one service.
func appendJoin(out []byte, j *endpoint.Join) []byte {
	if len(j.Services) != 1 || len(j.Labels) > 0 {
		return appendJSON(out, j)
	}
	out = append(out, '{')
	if j.Client != 0 {
		out = append(strconv.AppendInt(append(out, `"client":`...), int64(j.Client), 10), ',')
	}
	out = append(strconv.AppendInt(append(out, `"services":[`...), int64(j.Services[0]), 10), ']')
	if j.Port != 0 {
		out = strconv.AppendInt(append(out, `,"port":`...), int64(j.Port), 10)
	}
	return append(out, '}')
}

// appendJSON appends a value of strings, numbers and maps of them, which always marshal.
func appendJSON(out []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("bundle: " + err.Error())
	}
	return append(out, b...)
}

// appendString is appendJSON for the common case of plain ASCII.
func appendString(out []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return appendJSON(out, s)
		}
	}
	return append(append(append(out, '"'), s...), '"')
}
