package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Problem is why a watch hears nothing. Its text says what to do, and shows nothing of any object.
type Problem struct {
	Reason string // forbidden, unauthorized, unknown (resource), unreachable, error (of the API server), unreadable (answer)
	text   string
}

// Error implements error.
func (p *Problem) Error() string { return p.text }

// failed notes a request that failed.
func (w *watcher) failed(ctx context.Context, err error) {
	if ctx.Err() != nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // the end, or a history that is listed anew
	}
	p := w.problem(err)
	w.c.opts.Failed(p.Reason)
	w.report(p)
}

// report tells the sink and the log, once, what the watch suffers from; nil: nothing any more.
func (w *watcher) report(p *Problem) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	if p != nil {
		text = p.text
	}
	if w.ended || text == w.last {
		return
	}
	if text != "" {
		w.c.troubles(text)
	}
	if w.last != "" && w.c.relieved(w.last) {
		w.c.opts.Log.Info("the API server is heard again", "was", w.last)
	}
	w.last = text
	switch {
	case w.sink == nil:
	case p == nil:
		w.sink(nil)
	default:
		w.sink(p)
	}
}

// end forgets the problem of a watch that nobody needs any more.
func (w *watcher) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.last != "" {
		w.c.relieved(w.last)
	}
}

// troubles notes that a watch has the problem, and logs it if it is the first.
func (c *Client) troubles(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.troubled[text]++; c.troubled[text] == 1 {
		c.opts.Log.Warn("not reading from the API server, trying again", "reason", text)
	}
}

// relieved notes that a watch has the problem no more, and tells whether it was the last.
func (c *Client) relieved(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.troubled[text]--
	if c.troubled[text] > 0 {
		return false
	}
	delete(c.troubled, text)
	return true
}

// asked is what a request is for, as problems name it.
type asked struct {
	gv      schema.GroupVersion
	plural  string
	objects string // with their names, if it is about one
	rule    string // of RBAC that it needs
}

// problem says what an error means for whoever has to mend it. Of what the API server says, only the words of a refusal
// are repeated: an answer that cannot be read may hold anything.
func (c *Client) problem(err error, a asked) *Problem {
	var api apierrors.APIStatus
	if errors.As(err, &api) {
		st := api.Status()
		said := clip(st.Message)
		switch {
		case st.Code == http.StatusForbidden:
			return &Problem{"forbidden", fmt.Sprintf("the API server %s forbids it (%s); %s", c.address, said, a.rule)}
		case st.Code == http.StatusUnauthorized:
			return &Problem{"unauthorized", fmt.Sprintf("the API server %s does not take the credentials for %s; see whether the token or certificate in the kubeconfig, or the pod's service account, is still good", c.address, a.objects)}
		case st.Code == http.StatusNotFound:
			return &Problem{"unknown", fmt.Sprintf("the API server %s has no %s of %s", c.address, a.plural, a.gv)}
		}
		return &Problem{"error", fmt.Sprintf("the API server %s answers %d for %s (%s)", c.address, st.Code, a.objects, said)}
	}
	var op *net.OpError
	if errors.As(err, &op) { // without the port on this side, which is another each time
		return &Problem{"unreachable", fmt.Sprintf("the API server %s cannot be reached: %s: %v", c.address, op.Op, op.Err)}
	}
	var u *url.Error
	if errors.As(err, &u) {
		return &Problem{"unreachable", fmt.Sprintf("the API server %s cannot be reached: %s", c.address, clip(u.Err.Error()))}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Problem{"unreachable", fmt.Sprintf("the API server %s does not answer", c.address)}
	}
	return &Problem{"unreadable", fmt.Sprintf("what the API server %s answers for %s cannot be read", c.address, a.objects)}
}

func (w *watcher) problem(err error) *Problem {
	return w.c.problem(err, asked{w.what.gv, w.what.plural, w.objects(), w.rule()})
}

// objects names what the query asks for.
func (w *watcher) objects() string {
	s := w.what.plural
	if w.q.Name != "" {
		s += " " + w.q.Name
	}
	if w.q.Namespace != "" {
		s += " in namespace " + w.q.Namespace
	}
	return s
}

// rule is the RBAC rule that the query needs, and where it belongs.
func (w *watcher) rule() string {
	names := ""
	if w.q.Name != "" {
		names = fmt.Sprintf(", resourceNames: [%q]", w.q.Name)
	}
	where := "a ClusterRole"
	if w.q.Namespace != "" {
		where = "a Role in namespace " + w.q.Namespace
	}
	return fmt.Sprintf("what is missing is the rule {apiGroups: [%q], resources: [%q]%s, verbs: [\"list\", \"watch\"]} in %s that is bound to this user",
		w.what.gv.Group, w.what.plural, names, where)
}

// clip keeps what the API server says short and on one line.
func clip(s string) string {
	if s = strings.Join(strings.Fields(s), " "); len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
