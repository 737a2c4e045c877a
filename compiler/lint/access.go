package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	meshconfig "istio.io/api/mesh/v1alpha1"
	security "istio.io/api/security/v1beta1"

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/suggest"
	"github.com/meshc/meshc/schema"
)

// access: values that match no request. In a DENY rule, or behind not, each of them lets pass what it was written to stop.
func (l *linter) access() {
	for _, p := range l.m.AuthorizationPolicies {
		token := false
		for i, r := range p.Spec.GetRules() {
			for j, f := range r.GetFrom() {
				s := f.GetSource()
				at := []any{"spec", "rules", i, "from", j, "source"}
				l.idle(p, l.idlePrincipal, at, "principals", s.GetPrincipals(), "notPrincipals", s.GetNotPrincipals())
				l.idle(p, l.idleTrustDomain, at, "trustDomains", s.GetTrustDomains(), "notTrustDomains", s.GetNotTrustDomains())
				l.idle(p, idleNamespace, at, "namespaces", s.GetNamespaces(), "notNamespaces", s.GetNotNamespaces())
				l.idle(p, l.idleRequestPrincipal(p), at, "requestPrincipals", s.GetRequestPrincipals(), "notRequestPrincipals", s.GetNotRequestPrincipals())
				l.idleToken(p, &token, s.GetRequestPrincipals(), s.GetNotRequestPrincipals(), append(at, "requestPrincipals"), append(slices.Clone(at), "notRequestPrincipals"))
				l.accounts(p, s, at)
			}
			for j, t := range r.GetTo() {
				o := t.GetOperation()
				at := []any{"spec", "rules", i, "to", j, "operation"}
				l.idle(p, idleMethod, at, "methods", o.GetMethods(), "notMethods", o.GetNotMethods())
				l.idle(p, l.idlePath, at, "paths", o.GetPaths(), "notPaths", o.GetNotPaths())
				l.idle(p, idleHost, at, "hosts", o.GetHosts(), "notHosts", o.GetNotHosts())
			}
			for j, w := range r.GetWhen() {
				at := []any{"spec", "rules", i, "when", j}
				if check := l.idleCondition(p, w.GetKey()); check != nil {
					l.idle(p, check, at, "values", w.GetValues(), "notValues", w.GetNotValues())
				}
				if strings.HasPrefix(w.GetKey(), "request.auth.") {
					l.idleToken(p, &token, w.GetValues(), w.GetNotValues(), append(at, "key"), append(slices.Clone(at), "key"))
				}
			}
		}
	}
}

func (l *linter) idleCondition(p *mesh.AuthorizationPolicy, key string) func(string) string {
	switch key {
	case "source.principal":
		return l.idlePrincipal
	case "source.trustDomain":
		return l.idleTrustDomain
	case "source.namespace":
		return idleNamespace
	case "connection.sni":
		return idleHost
	case "request.auth.principal":
		return l.idleRequestPrincipal(p)
	case "request.auth.claims[iss]":
		return l.idleIssuer(p)
	}
	return nil
}

// idle reports the values of a list and of its negation for which check has a reason. A rule of DENY that looks for nothing
// else never holds: that is an error.
func (l *linter) idle(p *mesh.AuthorizationPolicy, check func(string) string, at []any, name string, values []string, notName string, notValues []string) {
	for field, list := range map[string][]string{name: values, notName: notValues} {
		severity := diag.Warning
		if p.Spec.GetAction() == security.AuthorizationPolicy_DENY && field == name && !slices.ContainsFunc(list, func(v string) bool { return check(v) == "" }) {
			severity = diag.Error
		}
		for i, v := range list {
			if why := check(v); why != "" {
				l.add(p.Object, severity, "MESHC1544", fmt.Sprintf("%q matches no request: %s", v, why), "Correct the value: as it stands, the rule does not see what it was written for.", append(slices.Clone(at), field, i)...)
			}
		}
	}
}

func (l *linter) idlePrincipal(v string) string {
	td, path, cut := strings.Cut(v, "/")
	switch {
	case strings.Contains(v, "://"):
		return "identities are written without spiffe://, as cluster.local/ns/NAMESPACE/sa/ACCOUNT"
	case strings.Contains(td, "*"):
		return ""
	case !cut:
		return "an identity is written as cluster.local/ns/NAMESPACE/sa/ACCOUNT"
	}
	if why := l.idleTrustDomain(td); why != "" {
		return why
	}
	if td == "cluster.local" && strings.Count(v, "/") != 4 && !slices.Contains(l.trustDomains(), td) {
		return fmt.Sprintf("cluster.local stands for the trust domain of the mesh, %s, in whole identities only, and this is a part of one", l.m.TrustDomain)
	}
	if (td == l.m.TrustDomain || td == "cluster.local") && !identityPath(path) { // partners may have identities of other forms
		return "the identities of the mesh go on /ns/NAMESPACE/sa/ACCOUNT"
	}
	return ""
}

// identityPath tells whether what follows the trust domain can be that of a workload, up to a star at the end.
func identityPath(path string) bool {
	path, open := strings.CutSuffix(path, "*")
	got, want := strings.Split(path, "/"), []string{"ns", "", "sa", ""}
	if len(got) > len(want) || !open && len(got) < len(want) {
		return false
	}
	for i, part := range got {
		last := i == len(got)-1
		switch {
		case open && last:
			if want[i] != "" && !strings.HasPrefix(want[i], part) || want[i] == "" && part != "" && !objectName.MatchString(part+"x") {
				return false
			}
		case want[i] == "" && !objectName.MatchString(part), want[i] != "" && part != want[i]:
			return false
		}
	}
	return true
}

// objectName is what namespaces and accounts are called, and hostText what can stand in a Host header where names do, up to
// stars for any text.
var (
	objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
	hostText   = regexp.MustCompile(`^[-A-Za-z0-9._*]*(:[0-9*]+)?$|^\*?\[?[0-9A-Fa-f:.*]+(%[A-Za-z0-9]+)?\]?(:[0-9]+)?$`)
)

// idleRequestPrincipal: the last slash parts issuer and subject, and tokens are verified of the issuers that the
// RequestAuthentications of the workloads name. Where there are none, that is another finding.
func (l *linter) idleRequestPrincipal(p *mesh.AuthorizationPolicy) func(string) string {
	issuers := l.issuers(p)
	return func(v string) string {
		cut := strings.LastIndexByte(v, '/')
		if len(issuers) == 0 || strings.HasPrefix(v, "*") || cut < 0 && strings.HasSuffix(v, "*") && slices.ContainsFunc(issuers, func(i string) bool { return strings.HasPrefix(i, v[:len(v)-1]) }) {
			return ""
		}
		if cut >= 0 && slices.Contains(issuers, v[:cut]) {
			return ""
		}
		return fmt.Sprintf("the last slash parts issuer and subject, and no RequestAuthentication there verifies tokens of the issuer %s (%s); a subject with a slash is looked for by when, request.auth.claims[sub]",
			v[:max(cut, 0)], strings.Join(issuers, ", "))
	}
}

// idleIssuer: a claim iss is that of a token that is verified.
func (l *linter) idleIssuer(p *mesh.AuthorizationPolicy) func(string) string {
	issuers := l.issuers(p)
	return func(v string) string {
		if len(issuers) == 0 || strings.Contains(v, "*") || slices.Contains(issuers, v) {
			return ""
		}
		return "no RequestAuthentication there verifies tokens of this issuer (" + strings.Join(issuers, ", ") + ")"
	}
}

// issuers are those whose tokens are verified on the workloads of a policy; none where they cannot be listed.
func (l *linter) issuers(p *mesh.AuthorizationPolicy) (out []string) {
	for _, w := range l.reached(attachmentOf(p.Object)) {
		for _, r := range l.m.RequestAuthentications {
			if !l.reaches(attachmentOf(r.Object), w) {
				continue
			}
			for _, j := range r.Spec.GetJwtRules() {
				switch {
				case j.GetIssuer() == "":
					return nil
				case !slices.Contains(out, j.GetIssuer()):
					out = append(out, j.GetIssuer())
				}
			}
		}
	}
	return out
}

// trustDomains are those of the mesh, its aliases and those of its roots.
func (l *linter) trustDomains() []string {
	known := append([]string{l.m.TrustDomain}, l.m.Config.GetTrustDomainAliases()...)
	for _, c := range l.m.Config.GetCaCertificates() {
		known = append(known, c.GetTrustDomains()...)
	}
	return known
}

// idleTrustDomain: mutual TLS refuses peers of other trust domains than the mesh's own, its aliases and those of its roots.
func (l *linter) idleTrustDomain(td string) string {
	known := append(l.trustDomains(), "cluster.local")
	switch {
	case strings.ContainsAny(td, "/:"):
		return "a trust domain is a name without scheme and path"
	case strings.Contains(td, "*") || slices.Contains(known, td):
		return ""
	}
	return fmt.Sprintf("%s is no trust domain of the mesh, and peers of others are refused", td)
}

func idleNamespace(v string) string {
	if strings.Contains(v, "/") {
		return "the name of a namespace has no slash"
	}
	if plain := strings.Trim(v, "*"); plain != "" && !objectName.MatchString("x"+plain+"x") {
		return "the name of a namespace has small letters, digits and - only"
	}
	return ""
}

func idleMethod(v string) string {
	if v != strings.ToUpper(v) {
		return "methods are compared with case, and requests write them in capitals"
	}
	if strings.ContainsAny(v, " ,;|/") {
		return "the name of a method is one word: each stands in the list by itself"
	}
	return ""
}

func idlePath(v string) string {
	switch {
	case strings.ContainsAny(v, "?#"):
		return "paths are compared without their query"
	case v != "" && v[0] != '/' && v[0] != '*':
		return "paths begin with a slash"
	}
	return ""
}

// idlePath adds paths that no request has once its path is normalised.
func (l *linter) idlePath(v string) string {
	if why := idlePath(v); why != "" || l.m.Config.GetPathNormalization().GetNormalization() == meshconfig.MeshConfig_ProxyPathNormalization_NONE {
		return why
	}
	p := strings.NewReplacer("{**}", "", "{*}", "").Replace(v)
	switch {
	case strings.ContainsAny(p, " \t\"<>^`{|}"):
		return "proxies escape a space and the characters \"<>^`{|} of a path before they ask rules, as %20"
	case strings.Contains(p, `\`):
		return `proxies make a slash of \ in a path before they ask rules`
	case strings.Contains(p, "/./") || strings.Contains(p, "/../"):
		return "proxies resolve . and .. in a path before they ask rules"
	case plainEscape.MatchString(p):
		return "proxies decode letters, digits and -._~ in a path before they ask rules"
	}
	return ""
}

// plainEscape is an encoding of a character that needs none.
var plainEscape = regexp.MustCompile(`(?i)%(2d|2e|3[0-9]|4[1-9a-f]|5[0-9a]|5f|6[1-9a-f]|7[0-9a]|7e)`)

func idleHost(v string) string {
	if strings.Contains(v, "/") {
		return "the Host header has neither scheme nor path"
	}
	if !hostText.MatchString(v) {
		return "no name of a host has such characters"
	}
	return ""
}

// idleToken reports, once for a policy, a condition on tokens that nobody verifies on any of its workloads. A rule of DENY that
// wants one never holds: that is an error.
func (l *linter) idleToken(p *mesh.AuthorizationPolicy, reported *bool, values, notValues []string, path, notPath []any) {
	if len(values)+len(notValues) == 0 || *reported {
		return
	}
	severity, what := diag.Warning, "a condition on one never holds, and one with not always does"
	switch {
	case len(values) == 0:
		path = notPath
	case p.Spec.GetAction() == security.AuthorizationPolicy_DENY:
		severity, what = diag.Error, "this rule denies nobody"
	}
	any := false
	for _, w := range l.reached(attachmentOf(p.Object)) {
		any = true
		for _, r := range l.m.RequestAuthentications {
			if l.reaches(attachmentOf(r.Object), w) {
				return
			}
		}
	}
	if any {
		*reported = true
		l.add(p.Object, severity, "MESHC1553", "no RequestAuthentication reaches the workloads of this policy: no token is verified there, so "+what,
			"Add a RequestAuthentication with their labels, or look at something else.", slices.Clone(path)...)
	}
}

// accounts reports identities of workloads that the source would have: their namespace is in it, and a workload there runs under
// an account of almost the same name. What is not near may be of another source.
func (l *linter) accounts(p *mesh.AuthorizationPolicy, s *security.Source, at []any) {
	check := func(field string, list []string, parse func(string) (namespace, account string, ok bool)) {
		for i, v := range list {
			namespace, account, ok := parse(v)
			if !ok {
				continue
			}
			var known []string
			for _, w := range l.declared(namespace) {
				known = append(known, w.ServiceAccount)
			}
			if slices.Contains(known, account) || l.hasAccount(namespace, account) {
				continue
			}
			if meant := suggest.Word(account, known); meant != "" {
				l.add(p.Object, diag.Warning, "IST0101", "no workload of namespace "+namespace+" in the source runs under the account "+account+": the condition is about nobody",
					"Did you mean "+meant+"?", append(slices.Clone(at), field, i)...)
			}
		}
	}
	identity := func(v string) (namespace, account string, ok bool) {
		parts := strings.Split(v, "/")
		if len(parts) != 5 || strings.Contains(v, "*") || parts[1] != "ns" || parts[3] != "sa" || parts[0] != "cluster.local" && !slices.Contains(l.trustDomains(), parts[0]) {
			return "", "", false
		}
		return parts[2], parts[4], true
	}
	short := func(v string) (namespace, account string, ok bool) {
		namespace, account, cut := strings.Cut(v, "/")
		if !cut {
			namespace, account = p.Object.Namespace, v
		}
		return namespace, account, !strings.Contains(v, "*")
	}
	check("principals", s.GetPrincipals(), identity)
	check("notPrincipals", s.GetNotPrincipals(), identity)
	check("serviceAccounts", s.GetServiceAccounts(), short)
	check("notServiceAccounts", s.GetNotServiceAccounts(), short)
}

// hasAccount tells whether the source has a ServiceAccount.
func (l *linter) hasAccount(namespace, name string) bool {
	return slices.ContainsFunc(l.objects, func(o *schema.Object) bool {
		return o.Kind == "ServiceAccount" && o.Namespace == namespace && o.Name == name
	})
}

// attachmentOf returns how an object of a kind that chooses workloads does.
func attachmentOf(o *schema.Object) attach.Attachment {
	a, _ := attach.Of(o)
	return a
}

// reaches tells whether an object holds for a workload.
func (l *linter) reaches(a attach.Attachment, w *mesh.Workload) bool {
	return a.Reaches(l.m.RootNamespace, w.Namespace, w.Labels)
}

// reached are the workloads of the source that an object holds for.
func (l *linter) reached(a attach.Attachment) []*mesh.Workload {
	list := l.m.Workloads
	if ns := a.Namespace(l.m.RootNamespace); ns != "" {
		list = l.declared(ns)
	}
	var out []*mesh.Workload
	for _, w := range list {
		if l.reaches(a, w) {
			out = append(out, w)
		}
	}
	return out
}

// unenforced: policies for workloads none of which has a proxy, as far as the source tells.
func (l *linter) unenforced() {
	for _, p := range l.m.AuthorizationPolicies {
		l.withoutProxy(attachmentOf(p.Object), "nobody enforces this policy")
	}
	for _, p := range l.m.RequestAuthentications {
		l.withoutProxy(attachmentOf(p.Object), "nobody verifies tokens")
	}
	var list []attach.Attachment
	for _, p := range l.m.PeerAuthentications {
		a := attachmentOf(p.Object)
		list = append(list, a)
		if p.Spec.GetMtls().GetMode() == security.PeerAuthentication_MutualTLS_STRICT {
			l.withoutProxy(a, "nobody asks clients for a certificate")
		}
	}
	l.claims(list, "PeerAuthentication", "MESHC1226", "MESHC1226")
}

func (l *linter) withoutProxy(a attach.Attachment, outcome string) {
	list := l.reached(a)
	for _, w := range list {
		if !l.bare(w) {
			return
		}
	}
	if len(list) > 0 {
		l.add(a.Object, diag.Warning, "MESHC1225", fmt.Sprintf("none of the workloads it is for has a proxy (%s/%s), so %s", list[0].Namespace, list[0].Name, outcome),
			"Label the namespace istio-injection: enabled, or the pods sidecar.istio.io/inject: \"true\".", "spec")
	}
}

// bare tells whether the source says of a workload that it has no proxy: nothing injects one, and no Gateway selects it.
// Where the Namespace is not in the source, its label may be.
func (l *linter) bare(w *mesh.Workload) bool {
	return !l.proxied(w) && (l.namespaces[w.Namespace] != nil || w.Observed || w.Injection == mesh.NotInjected)
}

// proxied tells whether a workload has a proxy, or is of another kind of mesh.
func (l *linter) proxied(w *mesh.Workload) bool {
	ns := l.namespaces[w.Namespace]
	return w.HasProxy() || l.m.ServesGateway(w) || ns != nil && ns.Labels[labelDataplane] == ambient || w.Labels[labelDataplane] == ambient
}

const ambient = "ambient"
