package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace/match"
)

// ParseCall reads a request as it stands in a test: METHOD URL from CLIENT, then -H NAME=VALUE, --claims JSON,
// --identity ID, --alpn LIST, --source-ip IP or --address IP, quoted as in a shell. METHOD may be left out.
func ParseCall(line string) (Request, error) {
	words, err := splitWords(line)
	if err != nil {
		return Request{}, err
	}
	r := Request{Headers: map[string][]string{}, Tokens: map[string]match.Token{}}
	if len(words) > 0 && !strings.Contains(words[0], "://") {
		r.Method, words = words[0], words[1:]
	}
	if len(words) < 3 || words[1] != "from" {
		return r, fmt.Errorf("%q is no call: write [METHOD] URL from CLIENT", line)
	}
	r.URL, r.From, words = words[0], words[2], words[3:]
	for len(words) > 0 {
		if len(words) == 1 {
			return r, fmt.Errorf("%s has no value", words[0])
		}
		if err := r.option(words[0], words[1]); err != nil {
			return r, err
		}
		words = words[2:]
	}
	return r, nil
}

func (r *Request) option(name, value string) error {
	switch name {
	case "-H", "--header":
		return r.AddHeader(value)
	case "--claims":
		return r.AddClaims(value)
	case "--identity":
		r.Identity = value
	case "--alpn":
		r.ALPN = strings.Split(value, ",")
	case "--source-ip", "--address":
		ip, err := netip.ParseAddr(value)
		if err != nil {
			return fmt.Errorf("%s %s is no IP address", name, value)
		}
		if name == "--address" {
			r.Address = ip
		} else {
			r.Source = ip
		}
	default:
		return fmt.Errorf("%q is no option of a call", name)
	}
	return nil
}

// Call writes the request as ParseCall reads it. A bearer token is written as its claims.
func (r Request) Call() string {
	words := []string{r.URL, "from", r.From}
	if r.Method != "" && r.Method != "GET" {
		words = slices.Insert(words, 0, r.Method)
	}
	add := func(option, value string) { words = append(words, option, value) }
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		for _, v := range r.Headers[name] {
			if t, ok := r.Tokens[strings.TrimPrefix(v, "Bearer ")]; ok && name == "authorization" {
				claims, _ := json.Marshal(t.Claims) //nolint:errchkjson // claims came out of JSON
				add("--claims", string(claims))
				continue
			}
			add("-H", name+"="+v)
		}
	}
	if r.Identity != "" {
		add("--identity", r.Identity)
	}
	if len(r.ALPN) > 0 {
		add("--alpn", strings.Join(r.ALPN, ","))
	}
	if r.Source.IsValid() {
		add("--source-ip", r.Source.String())
	}
	if r.Address.IsValid() {
		add("--address", r.Address.String())
	}
	for i, w := range words {
		words[i] = quoteWord(w)
	}
	return strings.Join(words, " ")
}

// quoteWord quotes a word for splitWords and for a shell, where it needs that.
func quoteWord(w string) string {
	if w != "" && !strings.ContainsFunc(w, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 0x7f || strings.ContainsRune("-_./:=,@%+~", r))
	}) {
		return w
	}
	if strings.HasPrefix(w, "gateway ") && !strings.ContainsAny(w, "\"$`\\!") {
		return `"` + w + `"`
	}
	return "'" + strings.ReplaceAll(w, "'", `'"'"'`) + "'"
}

// AddHeader adds a header written NAME=VALUE or NAME: VALUE.
func (r *Request) AddHeader(s string) error {
	i := strings.IndexAny(s, "=:")
	if i <= 0 {
		return fmt.Errorf("header %q: write NAME=VALUE", s)
	}
	name := strings.ToLower(strings.TrimSpace(s[:i]))
	if r.Headers == nil {
		r.Headers = map[string][]string{}
	}
	r.Headers[name] = append(r.Headers[name], strings.TrimSpace(s[i+1:]))
	return nil
}

// AddClaims gives the request a bearer token with claims, written as JSON.
func (r *Request) AddClaims(s string) error {
	var claims map[string]any
	if err := json.Unmarshal([]byte(s), &claims); err != nil {
		return fmt.Errorf("claims are a JSON object: %w", err)
	}
	text, t, err := ClaimsToken(claims)
	if err == nil {
		r.AddToken(text, t)
	}
	return err
}

// AddToken gives the request a bearer token.
func (r *Request) AddToken(text string, t match.Token) {
	if r.Tokens == nil {
		r.Tokens = map[string]match.Token{}
	}
	r.Tokens[text] = t
	if r.Headers["authorization"] == nil {
		if r.Headers == nil {
			r.Headers = map[string][]string{}
		}
		r.Headers["authorization"] = []string{"Bearer " + text}
	}
}

// splitWords splits a line at spaces outside of quotes.
func splitWords(line string) ([]string, error) {
	var out []string
	var word strings.Builder
	quote, started := byte(0), false
	for i := range len(line) {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, started = c, true
		case c == ' ' || c == '\t':
			if started {
				out = append(out, word.String())
				word.Reset()
				started = false
			}
		default:
			started = true
			word.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if started {
		out = append(out, word.String())
	}
	return out, nil
}

// Line is a line about a request, and the places behind it.
type Line struct {
	Text    string
	Origins []bundle.Origin
}

// String writes the first places behind the text.
func (l Line) String() string { return l.Text + place(l.Origins) }

// Lines is Brief as text.
func (r *Result) Lines() []string {
	var out []string
	for _, l := range r.Brief() {
		out = append(out, l.String())
	}
	return out
}

// Brief says what happens to a request in few lines: what routes, faults and policies of the input did, then each end.
// It leaves out what every request has, so that a change of a default changes few of them.
func (r *Result) Brief() []Line {
	var out []Line
	seen := map[string]bool{}
	for _, s := range r.Path.AllSteps() {
		l := Line{brief(s), s.Origins}
		if text := l.String(); l.Text != "" && !seen[text] {
			seen[text] = true
			out = append(out, l)
		}
	}
	for _, l := range r.Path.Leaves() {
		head := ""
		if len(l.When) > 0 {
			head = strings.Join(l.When, ", ") + ": "
			if l.Chance > 0 {
				head = percentText(l.Chance) + " " + head
			}
		}
		out = append(out, Line{head + l.Outcome.head() + ": " + l.Outcome.Text, l.Outcome.Origins})
	}
	return out
}

// brief is a step in one line, "" when it is one that every request has.
func brief(s Step) string {
	switch s.Kind {
	case "route":
		if len(s.Origins) == 0 {
			return "" // the way into an application
		}
		out := "route: " + s.Text
		for _, e := range s.Effects {
			if t := e.text(); t != "" && !e.Tuning() {
				out += "; " + t
			}
		}
		return out
	case "endpoint":
		if slices.ContainsFunc(s.Effects, Effect.OfMesh) {
			return ""
		}
		return "endpoint: " + s.Name + ", " + s.Text
	case "rbac", "jwt":
		return s.Kind + ": " + strings.Join(append([]string{s.Name + ": " + s.Text}, s.remarks()...), "; ")
	case "fault", "cors", "mirror", "ext_authz", "filter":
		return s.Kind + ": " + s.Text
	}
	return ""
}
