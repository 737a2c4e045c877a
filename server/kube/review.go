package kube

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/server/token"
)

// podName is the entry of a reviewed user that names the pod that its token is bound to.
const podName = "authentication.kubernetes.io/pod-name"

// ReviewToken asks the API server whose a token is, by a TokenReview. No error shows the token.
func (c *Client) ReviewToken(ctx context.Context, raw string, audiences []string) (token.Reviewed, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: raw, Audiences: audiences}}
	var answer authenticationv1.TokenReview
	err := c.groups[authenticationv1.SchemeGroupVersion].Post().Resource("tokenreviews").VersionedParams(&metav1.CreateOptions{}, c.params).Body(review).Do(ctx).Into(&answer)
	if err != nil {
		p := c.problem(err, asked{authenticationv1.SchemeGroupVersion, "tokenreviews", "a review of a token",
			`what is missing is the ClusterRole system:auth-delegator, or the rule {apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"]} in a ClusterRole that is bound to this user`})
		c.opts.Failed(p.Reason)
		return token.Reviewed{}, p
	}
	s := answer.Status
	out := token.Reviewed{Authenticated: s.Authenticated, Error: s.Error, User: s.User.Username, Audiences: s.Audiences}
	if pods := s.User.Extra[podName]; len(pods) == 1 {
		out.Pod = pods[0]
	} else if len(pods) > 1 {
		return token.Reviewed{}, fmt.Errorf("the API server says that the token is bound to %d pods", len(pods))
	}
	return out, nil
}
