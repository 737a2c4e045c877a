package bundle

import (
	"errors"
	"strings"
	"testing"
)

// TestRefusals: what is not there, newer than this program, or for no class, is refused by its code and with what to do.
func TestRefusals(t *testing.T) {
	b := seal(t, sample(t, 1))
	_, missing := Read(t.TempDir() + "/none")
	_, class := b.ClassOf(Node{ID: "sidecar~10.0.0.1~x.nobody~z", Namespace: "nobody"})
	_, node := NodeFromJSON([]byte("no JSON"))
	format := refuseFormat([]byte(`{"formatVersion": "` + FormatVersion + `0"}`))
	for code, err := range map[string]error{CodeMissing: missing, CodeNoClass: class, CodeInvalidNode: node, CodeFormat: format} {
		var e *Error
		if !errors.As(err, &e) || e.Code != code || strings.TrimSpace(e.Error()) == "" {
			t.Errorf("%s: %v", code, err)
		}
	}
}
