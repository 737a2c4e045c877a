package validate

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/proto"
)

// wasmRule is about what a plugin runs, and where (source/extensions/common/wasm/plugin.cc). Code that is fetched is there later.
func wasmRule(v *visit, m proto.Message) {
	c := m.(*wasmv3.PluginConfig).GetVmConfig()
	const v8 = "envoy.wasm.runtime.v8"
	switch {
	case c == nil:
		v.bad("vm_config", "Add vm_config with runtime and code.", "the plugin says nothing of its machine")
		return
	case c.GetRuntime() != v8:
		v.bad("vm_config.runtime", "Use "+v8+".", "stock Envoy cannot run %q", c.GetRuntime())
	}
	switch code := c.GetCode().GetSpecifier().(type) {
	case nil:
		v.bad("vm_config.code", "Add the code.", "the plugin has no code")
	case *corev3.AsyncDataSource_Local:
		text := code.Local.GetInlineString() + string(code.Local.GetInlineBytes())
		if code.Local.GetFilename() == "" && code.Local.GetEnvironmentVariable() == "" && !strings.HasPrefix(text, "\x00asm") {
			v.bad("vm_config.code.local", "Put the compiled module in, or name its file.", "the code is no WebAssembly module")
		}
	}
}

// wasmFilterRule wants a plugin in a filter.
func wasmFilterRule(v *visit, m proto.Message) {
	if m.(interface{ GetConfig() *wasmv3.PluginConfig }).GetConfig() == nil {
		v.bad("config", "Add the configuration of the plugin.", "the filter names no plugin")
	}
}
