// Package fault turns a panic, which is always a fault of meshc itself, into an error that carries the stack: one bad
// goroutine must not end a process without a word about what it was doing.
package fault

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Error is a panic that was caught.
type Error struct {
	What  any // what was given to panic
	Stack []byte
}

// Error names the fault; the stack is for whoever prints it.
func (e *Error) Error() string { return fmt.Sprintf("internal error: %v", e.What) }

// Unwrap returns the error that was given to panic, if it was one.
func (e *Error) Unwrap() error {
	err, _ := e.What.(error)
	return err
}

// Call calls f. A panic becomes its error.
func Call(f func() error) (err error) {
	defer func() {
		what := recover()
		if what == nil {
			return
		}
		if e, ok := what.(error); ok {
			var caught *Error
			if errors.As(e, &caught) {
				err = e // from another goroutine: its stack tells more than this one
				return
			}
		}
		err = &Error{What: what, Stack: debug.Stack()}
	}()
	return f()
}

// Guard is Call for a function that runs later, as in a goroutine of an errgroup.Group.
func Guard(f func() error) func() error {
	return func() error { return Call(f) }
}
