package validate

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	specifierv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/lua/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/lua"
)

// luaRule: Envoy loads scripts when it builds the filter (source/extensions/filters/http/lua/lua_filter.cc).
func luaRule(v *visit, m proto.Message) {
	l := m.(*luav3.Lua)
	if l.GetInlineCode() != "" && l.GetDefaultSourceCode() != nil { //nolint:staticcheck // Envoy reads it
		v.bad("", "Keep default_source_code.", "both inline_code and default_source_code are set")
	}
	luaChunk(v, "inline_code", l.GetInlineCode()) //nolint:staticcheck // Envoy reads it
	luaSource(v, "default_source_code", l.GetDefaultSourceCode())
	for _, name := range keys(l.GetSourceCodes()) {
		luaSource(v, fmt.Sprintf("source_codes[%s]", name), l.GetSourceCodes()[name])
	}
}

func luaRouteRule(v *visit, m proto.Message) {
	luaSource(v, "source_code", m.(*luav3.LuaPerRoute).GetSourceCode())
}

// specifierRule: source/extensions/router/cluster_specifiers/lua/lua_cluster_specifier.cc.
func specifierRule(v *visit, m proto.Message) {
	s := m.(*specifierv3.LuaConfig).GetSourceCode()
	luaSource(v, "source_code", s)
	const hook = "envoy_on_route"
	if text := s.GetInlineString() + string(s.GetInlineBytes()); text != "" && !strings.Contains(text, hook) {
		v.bad("source_code", "Define "+hook+"(handle), which returns the name of a cluster.", "the script has no function %s", hook)
	}
}

// luaSource checks a script that stands in the configuration; one in a file only the proxy can see.
func luaSource(v *visit, field string, s *corev3.DataSource) {
	luaChunk(v, field, s.GetInlineString()+string(s.GetInlineBytes()))
}

func luaChunk(v *visit, field, chunk string) {
	if err := lua.Check(chunk); err != nil {
		v.bad(field, "Correct the script; Envoy runs it once when it loads it, by LuaJIT, whose language is Lua 5.1 with goto.", "the script cannot be loaded: %v", err)
	}
}
