package server

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/secrettest"
)

// TestStatusShowsNoSecrets: what a proxy quotes of a configuration that it refused gets no token or key on the page.
func TestStatusShowsNoSecrets(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{})
	p := connect(t, c)
	p.warm()
	said := ""
	spellings := secrettest.Tokens()
	for _, k := range secrettest.Keys() {
		spellings = append(spellings, k.Spellings()[0])
	}
	for _, s := range spellings {
		said += "header " + s.Text + " is invalid\n"
	}
	srv.Switch(sealed(t, append(without(base(1), "80/a"), vhs("80", "a", "better"))...))
	p.nack(p.want("vhds +80/a"), "\x1b[31m"+said)
	p.quiet()
	answer := httptest.NewRecorder()
	srv.Admin().ServeHTTP(answer, httptest.NewRequest("GET", "http://127.0.0.1/status", nil))
	b, _ := io.ReadAll(answer.Body)
	for _, s := range spellings {
		if leak := secrettest.Leaked(string(b), s.Body, 20); leak != "" {
			t.Errorf("%s: %q is on the page:\n%s", s.Name, leak, b)
		}
	}
	var st Status
	if err := json.Unmarshal(b, &st); err != nil || len(st.Nodes) != 1 || len(st.Nodes[0].NACKs) != 1 || !strings.Contains(st.Nodes[0].NACKs[0].Error, "is invalid") {
		t.Errorf("%v: %s", err, b)
	}
}
