package policies

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/fault"
	"github.com/meshc/meshc/schema"
)

// verdict is the outcome of one evaluation.
type verdict struct {
	findings diag.List
	used     int64 // steps
	over     bool  // they were not enough
}

// eval asks once about the set and about every object, in this order as far as the budget goes. Evaluations run side by side
// and begin in order; the budget is applied in order afterwards, so that how many there are at a time changes nothing.
func (e *engine) eval(ctx context.Context, objs []*schema.Object, o Options) (diag.List, int64, error) {
	verdicts := make([]verdict, len(objs)+1)
	var next, used atomic.Int64
	var stop atomic.Bool
	g, side := errgroup.WithContext(ctx)
	for range max(o.Workers, 1) {
		g.Go(fault.Guard(func() error {
			a, err := e.asker(side)
			if err != nil {
				return err
			}
			defer a.close()
			for !stop.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(verdicts) {
					return nil
				}
				if verdicts[i], err = a.about(subject(objs, i), e.allowance(objs, i, o.Budget)); err != nil {
					return err
				}
				if used.Add(verdicts[i].used) > o.Budget.run(len(objs)) || verdicts[i].over {
					stop.Store(true)
				}
			}
			return nil
		}))
	}
	if err := g.Wait(); err != nil {
		return nil, 0, err
	}
	l, err := e.findings(ctx, objs, verdicts, o.Budget)
	return l, used.Load(), err
}

// subject is what an evaluation is about: the set, nil, or an object.
func subject(objs []*schema.Object, i int) *schema.Object {
	if i == 0 {
		return nil
	}
	return objs[i-1]
}

// allowance is how many steps an evaluation has.
func (e *engine) allowance(objs []*schema.Object, i int, b Budget) int64 {
	if i == 0 {
		return b.run(len(objs))
	}
	return b.Object
}

// findings joins the findings up to the evaluation with which the budget ended, if it did.
func (e *engine) findings(ctx context.Context, objs []*schema.Object, verdicts []verdict, b Budget) (diag.List, error) {
	var l diag.List
	var sum int64
	costliest := 0
	e.place(verdicts[0].findings, objs)
	for i, v := range verdicts {
		l.Add(v.findings...)
		if v.used > verdicts[costliest].used {
			costliest = i
		}
		if sum += v.used; !v.over && sum <= b.run(len(objs)) {
			continue
		}
		at, why := costliest, fmt.Sprintf("the policies took more than %d steps on the objects so far, most on", b.run(len(objs)))
		if v.over {
			at, why = i, fmt.Sprintf("the policies took more than %d steps on", e.allowance(objs, i, b))
		}
		a, err := e.asker(ctx)
		if err != nil {
			return nil, err
		}
		defer a.close()
		found, err := a.blame(subject(objs, at), e.allowance(objs, at, b), why, fmt.Sprintf("%d of %d objects were judged", i, len(objs)))
		if at == 0 {
			e.place(found, objs)
		}
		l.Add(found...)
		return l, err
	}
	return l, nil
}

// document is the object as written, with the namespace that it got, if it names none.
func document(obj *schema.Object) map[string]any {
	meta, _ := obj.Doc.Value["metadata"].(map[string]any)
	if obj.Namespace == "" || meta == nil || meta["namespace"] != nil {
		return obj.Doc.Value
	}
	doc, meta := maps.Clone(obj.Doc.Value), maps.Clone(meta)
	meta["namespace"] = obj.Namespace
	doc["metadata"] = meta
	return doc
}

// about are the rules, in order, that speak about an object, or about the set.
func (e *engine) about(obj *schema.Object) []*rule {
	kind := kindOf(obj)
	var out []*rule
	for _, id := range slices.Sorted(maps.Keys(e.rules)) {
		if r := e.rules[id]; r.asks(kind) {
			out = append(out, r)
		}
	}
	return out
}

func kindOf(obj *schema.Object) string {
	if obj == nil {
		return wholeSet
	}
	return obj.Kind
}
