package trace

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/trace/match"
)

// Request is what a caller wants to follow.
type Request struct {
	// From is who sends it: a workload NAMESPACE/NAME or the id of a class, whose own proxy it leaves by; "gateway
	// NAMESPACE/NAME", for a client outside that calls the gateway, named by its Gateway or by its workload; or "outside",
	// for a client without a proxy that calls a workload directly.
	From    string
	Method  string              // GET if empty
	URL     string              // http, https, grpc, tcp or tls
	Headers map[string][]string // any case

	Tokens   map[string]match.Token // what is known of bearer tokens, by their text
	Source   netip.Addr             // of the client; the walk knows those of workloads
	Identity string                 // in the certificate of a client outside the mesh, as spiffe://…
	ALPN     []string               // protocols that the client's own TLS offers; default: h2 and http/1.1 for https
	Address  netip.Addr             // that the name in the URL resolves to; the walk knows those of services
}

// target is the destination in a URL.
type target struct {
	scheme string
	host   string // without port
	port   uint16
	path   string // with query
	tls    bool   // of the client's own
	wire   string
}

func parseTarget(s string) (target, error) {
	u, err := url.Parse(asURL(s))
	if err != nil {
		return target{}, fmt.Errorf("%q is no URL: %w", s, err)
	}
	t := target{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), path: writtenPath(s)}
	if t.host == "" {
		return t, fmt.Errorf("%q names no host: write SCHEME://HOST[:PORT]/PATH", s)
	}
	known := true
	switch u.Scheme {
	case "http":
		t.port, t.wire = 80, wireHTTP1
	case "https":
		t.port, t.wire, t.tls = 443, wireHTTP1, true
	case "grpc":
		t.port, t.wire = 80, wireHTTP2
	case "tcp":
		t.wire, known = wireTCP, u.Port() != ""
	case "tls":
		t.port, t.wire, t.tls = 443, wireTCP, true
	default:
		return t, fmt.Errorf("%q: the scheme is http, https, grpc, tcp or tls", s)
	}
	if !known {
		return t, fmt.Errorf("%q names no port, and tcp has no default", s)
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return t, fmt.Errorf("%q: port %s is not between 1 and 65535", s, p)
		}
		t.port = uint16(n)
	}
	return t, nil
}

// writtenPath is the path of a URL with its query, as it is written, since proxies see it so; a space, which no request line
// can hold, is encoded.
func writtenPath(s string) string {
	_, rest, _ := strings.Cut(s, "://")
	rest, _, _ = strings.Cut(rest, "#")
	i := strings.IndexAny(rest, "/?")
	if i < 0 {
		return "/"
	}
	path := strings.ReplaceAll(rest[i:], " ", "%20")
	if path[0] == '?' {
		path = "/" + path
	}
	return path
}

// asURL leaves out the path, which may hold what no URL does, as a % without digits: clients send it, and Envoy decides about it.
func asURL(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return scheme + "://" + rest[:i]
	}
	return s
}

// authority is the Host header that a client sends for the URL.
func (t target) authority() string {
	h := t.host
	if strings.Contains(h, ":") {
		h = "[" + h + "]"
	}
	if t.port == 80 && !t.tls || t.port == 443 && t.tls {
		return h
	}
	return h + ":" + strconv.Itoa(int(t.port))
}

// ClaimsToken makes a token that stands for one with these claims. Its signature counts as good.
func ClaimsToken(claims map[string]any) (string, match.Token, error) {
	b, err := json.Marshal(claims)
	if err != nil {
		return "", match.Token{}, err
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(b) + ".signature", match.Token{Claims: claims, Valid: true}, nil
}

// ParseToken reads the claims of a token. Its signature and time are not looked at and count as good.
func ParseToken(text string) (match.Token, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return match.Token{}, fmt.Errorf("a token has three parts with dots between them, this one has %d", len(parts))
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return match.Token{}, fmt.Errorf("the claims of the token are not base64url: %w", err)
	}
	t := match.Token{Valid: true}
	if err := json.Unmarshal(b, &t.Claims); err != nil {
		return match.Token{}, fmt.Errorf("the claims of the token are not a JSON object: %w", err)
	}
	return t, nil
}
