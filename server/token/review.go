package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Reviewed is what an API server says of a token that it was asked about.
type Reviewed struct {
	Authenticated bool
	Error         string // why not
	User          string
	Audiences     []string // of those asked for, the ones that it is for
	Pod           string
}

// API is the API server that is asked.
type API interface {
	ReviewToken(ctx context.Context, raw string, audiences []string) (Reviewed, error)
}

// Review vouches for tokens by asking an API server about each, which knows whether the pod and the service account that it
// was made for are there still.
type Review struct {
	api   API
	wants Wants
	room  chan struct{} // for questions under way
}

// reviewsAtATime and reviewTime bound what proxies that come all at once ask of the API server.
const (
	reviewsAtATime = 32
	reviewTime     = 10 * time.Second
)

// NewReview asks an API server.
func NewReview(api API, w Wants) *Review {
	return &Review{api: api, wants: w, room: make(chan struct{}, reviewsAtATime)}
}

// Verify implements Verifier. What can be refused without asking is not asked about.
func (r *Review) Verify(ctx context.Context, raw string) (Account, error) {
	t, err := parse(raw)
	if err != nil {
		return Account{}, err
	}
	var c claims
	if err := t.UnsafeClaimsWithoutVerification(&c); err != nil {
		return Account{}, errors.New("the claims of the token cannot be read")
	}
	if err := r.wants.holds(&c, time.Now()); err != nil {
		return Account{}, err
	}
	claimed, err := c.account()
	if err != nil {
		return Account{}, err
	}
	said, err := r.ask(ctx, raw)
	switch {
	case err != nil:
		return Account{}, fmt.Errorf("the API server could not be asked about the token: %w", err)
	case !said.Authenticated:
		return Account{}, fmt.Errorf("the API server does not take the token: %.300s", said.Error)
	case !slices.ContainsFunc(said.Audiences, func(a string) bool { return slices.Contains(r.wants.Audiences, a) }):
		return Account{}, errors.New("the API server does not tell audiences of tokens apart")
	}
	namespace, name, err := subject(said.User)
	if err != nil {
		return Account{}, err
	}
	return Account{Namespace: namespace, Name: name, Pod: said.Pod, Expires: claimed.Expires}, nil
}

func (r *Review) ask(ctx context.Context, raw string) (Reviewed, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTime)
	defer cancel()
	select {
	case r.room <- struct{}{}:
		defer func() { <-r.room }()
	case <-ctx.Done():
		return Reviewed{}, ctx.Err()
	}
	return r.api.ReviewToken(ctx, raw, r.wants.Audiences)
}
