package policies

import (
	"context"
	"errors"

	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/meshc/meshc/internal/limit"
)

// Budget bounds evaluation, in steps. A step is one expression that is looked at, one element that a builtin goes through, or limit.PolicyStepBytes of text that
// it reads or makes. Steps do not depend on the machine or on what else runs on it, so a check answers the same everywhere.
type Budget struct {
	Object    int64 // for all rules on one object
	Run       int64 // for all objects of a run, and the rules about the set, together, and
	RunObject int64 // more of them for each object
}

// DefaultBudget is what a large pack of policies does not come near to.
func DefaultBudget() Budget {
	return Budget{Object: limit.PolicyObjectSteps, Run: limit.PolicyRunSteps, RunObject: limit.PolicyRunObjectSteps}
}

func (b Budget) run(objects int) int64 { return b.Run + b.RunObject*int64(objects) }

// meter counts the steps of one evaluation, and ends it when they are used up. The evaluator asks whether it is cancelled
// before each expression: that is a step. It belongs to one goroutine.
type meter struct {
	ctx  context.Context
	most int64
	left int64
	over bool
}

// reset begins another evaluation.
func (m *meter) reset(steps int64) { m.most, m.left, m.over = steps, steps, false }

// Cancelled implements topdown.Cancel.
func (m *meter) Cancelled() bool {
	m.spend(1)
	return m.over || m.left&1023 == 0 && m.ctx.Err() != nil
}

// Cancel implements topdown.Cancel.
func (m *meter) Cancel() { m.over = true }

// spend takes steps, and tells whether they were there.
func (m *meter) spend(steps int64) bool {
	if steps > m.left {
		m.over = true
	}
	m.left -= min(steps, max(m.left, 0))
	return !m.over
}

// used is how many steps the evaluation took, and more than it may have where it is over.
func (m *meter) used() int64 {
	if m.over {
		return m.most + 1
	}
	return m.most - m.left
}

var errOver = topdown.Halt{Err: &topdown.Error{Code: topdown.CancelErr, Message: "over its budget"}}

// isOver tells whether an evaluation ended because its steps were used up.
func (m *meter) isOver(err error) bool {
	return m.over && (topdown.IsCancel(err) || errors.Is(err, errOver.Err))
}
