package validate

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rules lists what Envoy checks when it builds something of a message, by the type of the message.
func rules() map[protoreflect.FullName]rule {
	return map[protoreflect.FullName]rule{
		"google.protobuf.Any":                anyRule,
		"google.protobuf.Duration":           durationRule,
		"envoy.type.matcher.v3.RegexMatcher": regexRule,
	}
}
