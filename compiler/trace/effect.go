package trace

import "strings"

// Effect is one thing that is done to a request, as a value: two walks whose effects and ends are equal treat a request
// alike, whatever the words for it. Which names and values an effect has depends on its kind.
type Effect struct {
	Kind  string `json:"kind"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
}

// Kinds of effects.
const (
	EffectTimeout       = "timeout"         // value: duration
	EffectRetries       = "retries"         // name: conditions; value: number
	EffectPerTry        = "per-try-timeout" // value: duration
	EffectHash          = "hash"            // name: header, cookie, query parameter or address; value: its name
	EffectPath          = "path"            // value: the path after a rewrite
	EffectHost          = "host"            // value: the host after a rewrite
	EffectUnjudged      = "unjudged"        // name: what the walk cannot judge
	EffectHeader        = "header"          // name: request or response, and what is done to it; value: NAME: VALUE
	EffectDelay         = "delay"           // name: share of the requests; value: duration
	EffectMirror        = "mirror"          // name: cluster; value: share of the requests
	EffectCORS          = "cors"            // value: allowed or refused
	EffectToken         = "token"           // value: accepted, none, refused, another audience
	EffectIssuer        = "issuer"          // value: issuer of tokens that are looked at
	EffectAudit         = "audit"           // name: rule
	EffectDryRun        = "dry-run"         // value: allow or deny
	EffectAuthorizer    = "ext_authz"       // name: cluster; value: open where it fails open
	EffectTunnel        = "tunnel"          // value: host
	EffectTLS           = "tls"             // of a connection; value: plain, simple, mutual or mesh
	EffectCertificate   = "certificate"     // that is shown; value: secret
	EffectServerName    = "server-name"     // value: SNI
	EffectProxyProtocol = "proxy-protocol"  // a header comes first
	EffectEndpoints     = "endpoints"       // value: addresses
	EffectGRPCStatus    = "grpc-status"     // of an answer; value: code
	EffectBody          = "body"            // of an answer; value: text
)

// Values of EffectTLS.
const (
	tlsPlain  = "plain"
	tlsSimple = "simple"
	tlsMutual = "mutual"
	tlsMesh   = "mesh" // mutual, with the identities of workloads
)

// Tuning tells effects that only show when something fails.
func (e Effect) Tuning() bool { return e.Kind == EffectRetries || e.Kind == EffectPerTry }

// OfMesh tells the mutual TLS of the mesh.
func (e Effect) OfMesh() bool { return e == Effect{EffectTLS, "", tlsMesh} }

// connectionText says how a connection is opened.
func connectionText(effects []Effect) string {
	text, behind := "", ""
	for _, e := range effects {
		switch e.Kind {
		case EffectTLS:
			text = map[string]string{tlsPlain: "plain text", tlsSimple: "TLS", tlsMutual: "mutual TLS", tlsMesh: "mutual TLS of the mesh"}[e.Value]
		case EffectCertificate:
			text += " with the certificate " + e.Value
		case EffectServerName:
			text += ", server name " + e.Value
		case EffectProxyProtocol:
			behind = " behind a PROXY protocol header"
		}
	}
	return text + behind
}

// remarks are what a step does and what else there is to say of it, a line each.
func (s *Step) remarks() []string {
	var out []string
	if s.Kind == "route" || s.Kind == "jwt" { // the text of others says it
		for _, e := range s.Effects {
			if t := e.text(); t != "" {
				out = append(out, t)
			}
		}
	}
	return append(out, s.Notes...)
}

// text says what an effect is in a few words; "" where the step says it itself.
func (e Effect) text() string {
	switch e.Kind {
	case EffectTimeout:
		if e.Name != "" {
			return "timeout " + e.Value + " (" + e.Name + ")"
		}
		return "timeout " + e.Value
	case EffectRetries:
		return e.Value + " retries on " + e.Name
	case EffectPerTry:
		return e.Value + " for each try"
	case EffectHash:
		if e.Value == "" {
			return "the endpoint depends on the " + e.Name + " of the client"
		}
		return "the endpoint depends on " + e.Name + " " + e.Value
	case EffectPath, EffectHost:
		return e.Kind + " becomes " + e.Value
	case EffectUnjudged, EffectHeader:
		return strings.TrimSpace(e.Name + " " + e.Value)
	case EffectIssuer:
		return "issuer " + e.Value
	}
	return ""
}
