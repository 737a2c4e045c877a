package validate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// enablePush is the setting of HTTP/2 by which a client lets a server push.
const enablePush = 2

// http2Rule is about settings that are sent by number: not what has a field of its own that is set, and each with one value
// (source/common/http/http2/codec_impl.cc and utility.cc).
func http2Rule(v *visit, m proto.Message) {
	o := m.(*corev3.Http2ProtocolOptions)
	const field = "custom_settings_parameters"
	named := map[uint32]*wrapperspb.UInt32Value{1: o.GetHpackTableSize(), 3: o.GetMaxConcurrentStreams(), 4: o.GetInitialStreamWindowSize()}
	values := map[uint32]uint32{}
	for _, p := range o.GetCustomSettingsParameters() {
		id, value := p.GetIdentifier().GetValue(), p.GetValue().GetValue()
		before, twice := values[id]
		switch {
		case id == enablePush && value != 0:
			v.bad(field, "Remove it.", "Envoy does not push")
		case named[id] != nil:
			v.bad(field, "Keep the field that has a name.", "the setting %d is set by its number and by the field of its name", id)
		case twice && before != value:
			v.bad(field, "Keep one of them.", "the setting %d has the values %d and %d", id, before, value)
		}
		values[id] = value
	}
}
