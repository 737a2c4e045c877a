package change_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/compiler/change/neutral"
)

// mutator changes one place of a message: the at-th of those that it comes to.
type mutator struct {
	n, at int
	unset bool   // set what is not set, too
	field string // that was changed: MESSAGE.FIELD
	path  string

	neutral bool // no request shows it, or what it is in
}

// hit counts a place and tells whether it is the one to change.
func (m *mutator) hit(fd protoreflect.FieldDescriptor, path, how string) bool {
	m.n++
	if m.n-1 != m.at {
		return false
	}
	m.field, m.path = string(fd.FullName()), path+" "+how
	m.neutral = m.neutral || neutral.Reason(protoreflect.FullName(m.field)) != ""
	return true
}

// message changes something in a message, and tells whether it did.
func (m *mutator) message(x protoreflect.Message, path string) bool {
	if a, ok := x.Interface().(*anypb.Any); ok {
		inner, err := a.UnmarshalNew()
		if err != nil || !m.message(inner.ProtoReflect(), path+"<"+string(inner.ProtoReflect().Descriptor().Name())+">") {
			return false
		}
		if a.Value, err = (proto.MarshalOptions{Deterministic: true}).Marshal(inner); err != nil {
			panic(err)
		}
		return true
	}
	fields := x.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		at := path + "." + string(fd.Name())
		switch {
		case !x.Has(fd):
			if m.unset && !fd.IsList() && !fd.IsMap() && fd.Message() == nil && (fd.ContainingOneof() == nil || x.WhichOneof(fd.ContainingOneof()) == nil) && m.hit(fd, at, "set") {
				x.Set(fd, other(fd, x.Get(fd)))
				return true
			}
		case fd.IsList():
			if m.list(fd, x.Mutable(fd).List(), at) {
				return true
			}
		case fd.IsMap():
			if m.entries(fd, x.Mutable(fd).Map(), at) {
				return true
			}
		case fd.Message() != nil:
			if m.message(x.Mutable(fd).Message(), at) {
				m.neutral = m.neutral || neutral.Reason(fd.FullName()) != ""
				return true
			}
			if m.hit(fd, at, "cleared") {
				x.Clear(fd)
				return true
			}
		default:
			if m.hit(fd, at, "changed") {
				x.Set(fd, other(fd, x.Get(fd)))
				return true
			}
		}
	}
	return false
}

func (m *mutator) list(fd protoreflect.FieldDescriptor, l protoreflect.List, path string) bool {
	for i := range l.Len() {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case fd.Message() != nil:
			if m.message(l.Get(i).Message(), at) {
				return true
			}
		case m.hit(fd, at, "changed"):
			l.Set(i, other(fd, l.Get(i)))
			return true
		}
	}
	if m.hit(fd, path, "shortened") {
		l.Truncate(l.Len() - 1)
		return true
	}
	return false
}

func (m *mutator) entries(fd protoreflect.FieldDescriptor, x protoreflect.Map, path string) bool {
	var keys []protoreflect.MapKey
	x.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool { keys = append(keys, k); return true })
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		at := path + "[" + k.String() + "]"
		switch {
		case fd.MapValue().Message() != nil:
			if m.message(x.Mutable(k).Message(), at) {
				return true
			}
		case m.hit(fd, at, "changed"):
			x.Set(k, other(fd.MapValue(), x.Get(k)))
			return true
		}
		if m.hit(fd, at, "removed") {
			x.Clear(k)
			return true
		}
	}
	return false
}

// other is another value than v.
func other(fd protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!v.Bool())
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		for i := range values.Len() {
			if n := values.Get(i).Number(); n != v.Enum() {
				return protoreflect.ValueOfEnum(n)
			}
		}
		return v
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String() + "x")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(append(slices.Clone(v.Bytes()), 'x'))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(v.Int()) + 1)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(v.Int() + 1)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(v.Uint()) + 1)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(v.Uint() + 1)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(v.Float()) + 1)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(v.Float() + 1)
	}
	return v
}

// mutated returns a bundle in which one place of one resource is another, in all classes that have it.
func mutated(t *testing.T, b *bundle.Bundle, r *bundle.Resource, m *mutator) (*bundle.Bundle, bool) {
	t.Helper()
	x, err := r.Message()
	if err != nil {
		t.Fatal(err)
	}
	x = proto.Clone(x)
	if !m.message(x.ProtoReflect(), string(x.ProtoReflect().Descriptor().Name())) {
		return nil, false
	}
	one := *r
	one.Digest = bundle.Digest{}
	if one.Bytes, err = (proto.MarshalOptions{Deterministic: true}).Marshal(x); err != nil {
		t.Fatal(err)
	}
	if n := x.ProtoReflect().Descriptor().Fields().ByName("name"); n != nil && r.Type != bundle.VirtualHostType {
		one.Name = x.ProtoReflect().Get(n).String()
	}
	in := bundle.Input{Selectors: b.Selectors, Workloads: b.Workloads, EnvoyMin: b.EnvoyMin, Plan: b.Plan, TrustDomain: b.TrustDomain, Services: b.Services}
	sets := map[*bundle.Set]*bundle.Set{}
	for _, c := range b.Classes {
		k := *c
		k.Sets = nil
		for _, s := range c.Sets {
			if sets[s] == nil {
				sets[s] = &bundle.Set{Requires: s.Requires}
				for _, y := range s.Resources {
					if y == r {
						y = &one
					}
					sets[s].Resources = append(sets[s].Resources, y)
				}
			}
			k.Sets = append(k.Sets, sets[s])
		}
		in.Classes = append(in.Classes, k)
	}
	out, err := bundle.Seal(in)
	if err != nil {
		return nil, true // a bundle refuses it
	}
	return out, true
}

// goldens compiles the inputs of the cases of the compiler.
func goldens(t *testing.T, pattern string) map[string]*bundle.Bundle {
	t.Helper()
	files, err := filepath.Glob("../../golden/" + pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	out := map[string]*bundle.Bundle{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		base := "shop"
		for _, f := range txtar.Parse(text).Files {
			if f.Name == "settings" && strings.Contains(string(f.Data), "base: none") {
				base = ""
			}
			if strings.HasSuffix(f.Name, ".yaml") && !strings.Contains(f.Name, " ") {
				if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if base != "" {
			b, err := os.ReadFile("../../golden/base/shop.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "base.yaml"), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, _, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Lenient: true})
		if err == nil && r.Bundle != nil {
			out[file] = r.Bundle
		}
	}
	return out
}

// harmless says why what was changed makes no difference for any request, though it may elsewhere; "" if it does.
func harmless(m *mutator) string {
	for end, why := range map[string]string{
		".load_balancing_weight":                "localities are weighed only where the cluster says so",
		".load_balancing_weight.value":          "localities are weighed only where the cluster says so",
		".continue_on_listener_filters_timeout": "no filter of the listener waits, or it waits for ever",
		".listener_filters_timeout":             "no filter of the listener waits",
		".health_status":                        "healthy is the default",
		"[1].match":                             "no condition is as good as an empty one",
		"[1].transport_socket":                  "without TLS is the default",
		"[1].transport_socket.typed_config":     "without TLS is the default",
		".sni":                                  "only gateways between networks look at the server name between proxies",
		".tls_minimum_protocol_version":         "TLS 1.2 is the default",
		".tls_maximum_protocol_version":         "TLS 1.3 is the default of a server",
	} {
		if place, _, _ := strings.Cut(m.path, " "); strings.HasSuffix(place, end) || strings.Contains(place, end+".") {
			return why
		}
	}
	if strings.Contains(m.path, "shadow_rules") && !strings.Contains(m.path, "istio-ext-authz") {
		return "a dry run refuses nothing"
	}
	if strings.Contains(m.path, "transport_socket_matches[0]") && strings.Contains(m.path, "match_typed_subject_alt_names") {
		return "no endpoint takes mutual TLS now, or one of the names that are left fits"
	}
	return ""
}

// TestMutations: whatever place of whatever resource is another, a comparison does not say that all is equal, unless no
// request shows that place. MESHC_SEED and MESHC_MUTATIONS choose others than those that CI runs.
func TestMutations(t *testing.T) {
	seed, count := uint64(7), 100
	if s := os.Getenv("MESHC_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("MESHC_MUTATIONS"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	pattern := "*/*.txtar"
	if s := os.Getenv("MESHC_CASES"); s != "" {
		pattern = s
	}
	random := rand.New(rand.NewPCG(seed, 0))
	all := goldens(t, pattern)
	var files []string
	for f := range all {
		files = append(files, f)
	}
	slices.Sort(files)
	failed := 0
	for range count {
		file := files[random.IntN(len(files))]
		b := all[file]
		if len(b.Resources) == 0 {
			continue
		}
		r := b.Resources[random.IntN(len(b.Resources))]
		m := &mutator{at: -1, unset: random.IntN(4) == 0}
		mutated(t, b, r, m)
		if m.n == 0 {
			continue
		}
		m = &mutator{at: random.IntN(m.n), unset: m.unset}
		head, ok := mutated(t, b, r, m)
		if !ok {
			t.Fatalf("%s: %s: place %d is not there again", file, r.Name, m.at)
		}
		if head == nil || head.Digest == b.Digest || m.neutral {
			continue
		}
		if f := os.Getenv("MESHC_PLACE"); f != "" && !strings.Contains(file+" "+r.Name+" "+m.path, f) {
			continue
		}
		report, err := change.Compare(b, head)
		if os.Getenv("MESHC_PLACE") != "" {
			x, _ := r.Message()
			t.Logf("%s\n%v", m.path, x)
		}
		if err != nil {
			t.Fatalf("%s: %s: %s: %v", file, r.Name, m.path, err)
		}
		if report.Differs() == (report.Ledger.Equal == report.Ledger.Changed) {
			t.Errorf("%s: %s: %s: differs %t, and the ledger says %+v", file, r.Name, m.path, report.Differs(), report.Ledger)
		}
		if !report.Differs() {
			for _, e := range report.Ledger.Entries {
				if e.Fate != change.FateEqual || e.Why == "" {
					t.Errorf("%s: %s: no difference, and of %s it is said %q, %q", file, r.Name, e.Name, e.Fate, e.Why)
				}
			}
			why := report.Ledger.Entries[0].Why
			if why == change.WhyUnused || why == change.WhyRefused || why == change.WhyNobody {
				continue
			}
			failed++
			if harmless(m) != "" {
				continue
			}
			t.Errorf("%s: %s: %s (%s): nothing is said of it: %s", strings.TrimPrefix(file, "../../golden/"), r.Name, m.path, m.field, why)
		}
	}
	if failed > 0 {
		t.Logf("MESHC_SEED=%d MESHC_MUTATIONS=%d", seed, count)
	}
}
