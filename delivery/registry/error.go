package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Reason is why something did not work, in a word that metrics and scripts can count on.
type Reason string

// The reasons.
const (
	Away      Reason = "away"      // no answer, or one cut short
	Denied    Reason = "denied"    // no credentials, or not the right to
	Busy      Reason = "busy"      // come back later
	Missing   Reason = "missing"   // no such repository, tag or blob
	Altered   Reason = "altered"   // bytes that do not have their digest, or are too many
	OtherKind Reason = "otherkind" // an artifact that is no bundle
	Misused   Reason = "misused"   // asked for what cannot be
)

// Error is what went wrong with an artifact.
type Error struct {
	Ref     string
	Reason  Reason
	Message string
	After   time.Duration // when to come back; 0: not said
	Err     error         // behind it, if any
}

// Error renders "REF: message".
func (e *Error) Error() string { return e.Ref + " " + e.Message }

// Unreached tells whether the registry gave no artifact at all, so that nothing is known of one.
func (e *Error) Unreached() bool {
	return e.Reason == Away || e.Reason == Busy || e.Reason == Denied || e.Reason == Missing
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// busyError is an answer that says to come back later.
type busyError struct {
	status int
	after  time.Duration
}

func (e *busyError) Error() string {
	s := fmt.Sprintf("the registry is too busy (%d %s)", e.status, http.StatusText(e.status))
	if e.after > 0 {
		s += fmt.Sprintf(" and asks to come back in %v", e.after)
	}
	return s
}

// explain says what an error of the client means for an artifact.
func explain(r Reference, err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) || errors.Is(err, context.Canceled) {
		return err
	}
	e := &Error{Ref: r.String(), Reason: Away, Err: err}
	var busy *busyError
	var answer *errcode.ErrorResponse
	switch {
	case errors.As(err, &busy):
		e.Reason, e.After, e.Message = Busy, busy.after, "cannot be had now: "+busy.Error()
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		e.Reason = Denied
		e.Message = fmt.Sprintf("is refused by the registry: %d %s. Log in with docker login %s, or write its config.json; a compile reads that file and starts no credential helper", answer.StatusCode, reasonOf(answer), r.Host)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		e.Reason = Denied
		e.Message = fmt.Sprintf("is refused by the registry: there are no credentials for %s that it takes. Log in with docker login %s", r.Host, r.Host)
	case errors.Is(err, errdef.ErrNotFound) || errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		e.Reason, e.Message = Missing, "is not there: the registry has no such repository, tag or digest"
	case errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, content.ErrTrailingData) || errors.Is(err, errdef.ErrSizeExceedsLimit):
		e.Reason, e.Message = Altered, fmt.Sprintf("comes with bytes that do not have their digest: %v", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Message = "was cut short on the way: " + err.Error()
	default:
		e.Message = "cannot be reached: " + err.Error()
	}
	return e
}

func reasonOf(answer *errcode.ErrorResponse) string {
	if len(answer.Errors) > 0 && answer.Errors[0].Message != "" {
		return answer.Errors[0].Message
	}
	return http.StatusText(answer.StatusCode)
}
