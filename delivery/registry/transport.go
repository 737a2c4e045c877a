package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// longestPause bounds how long a request waits before it is made again: a registry that asks for more is told of instead.
const longestPause = time.Minute

// transport carries requests: to other machines by TLS only, again where the registry is busy, and with an end to every
// silence.
type transport struct {
	base    http.RoundTripper
	retries int
	stall   time.Duration
}

func newTransport(o Options) *transport {
	dialer := &net.Dialer{Timeout: min(10*time.Second, o.Stall), KeepAlive: 30 * time.Second}
	return &transport{retries: o.Retries, stall: o.Stall, base: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: o.Stall,
		MaxIdleConnsPerHost: transfers, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: 1 << 20,
	}}
}

// RoundTrip implements http.RoundTripper. Redirects and requests for tokens come by here, too.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !loopback(r.URL.Host) {
		return nil, fmt.Errorf("%s is led to %s without TLS, which is spoken with this machine only", r.Method, r.URL.Host)
	}
	for attempt := 0; ; attempt++ {
		resp, err := t.once(r)
		busy := busyAnswer(resp, err)
		if busy == nil && (err == nil || !passing(err)) {
			return resp, err
		}
		pause := time.Second << attempt
		if busy != nil {
			_ = resp.Body.Close()
			if pause = max(pause, busy.after); pause > longestPause {
				return nil, busy
			}
		}
		if attempt >= t.retries || !rewind(r) {
			if busy != nil {
				return nil, busy
			}
			return nil, err
		}
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(pause):
		}
	}
}

// busyAnswer reads an answer that says to come back later.
func busyAnswer(resp *http.Response, err error) *busyError {
	if err != nil {
		return nil
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &busyError{status: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After"))}
	}
	return nil
}

// retryAfter reads the header of that name, seconds or a time.
func retryAfter(s string) time.Duration {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// passing tells an error of the way, which may be another the next time.
func passing(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// rewind makes the body of a request ready to be sent again.
func rewind(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	if r.GetBody == nil {
		return false
	}
	body, err := r.GetBody()
	r.Body = body
	return err == nil
}

// slowest is how many bytes a second an upload has to make at least.
const slowest = 16 << 10

// once makes a request, and gives it up when nothing comes.
func (t *transport) once(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	patience := t.stall + time.Duration(max(0, r.ContentLength)/slowest)*time.Second
	timer := time.AfterFunc(patience, func() { cancel(errStalled) })
	resp, err := t.base.RoundTrip(r.WithContext(ctx))
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			err = errStalled
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &attended{body: resp.Body, ctx: ctx, cancel: cancel, patience: t.stall}
	return resp, nil
}

// errStalled is a peer that says nothing.
var errStalled net.Error = stalledError{}

type stalledError struct{}

func (stalledError) Error() string   { return "the registry stopped in the middle" }
func (stalledError) Timeout() bool   { return true }
func (stalledError) Temporary() bool { return true }

// attended is a body whose reads end.
type attended struct {
	body     io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	patience time.Duration
}

func (a *attended) Read(p []byte) (int, error) {
	timer := time.AfterFunc(a.patience, func() { a.cancel(errStalled) })
	n, err := a.body.Read(p)
	timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(a.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (a *attended) Close() error {
	err := a.body.Close()
	a.cancel(nil)
	return err
}
