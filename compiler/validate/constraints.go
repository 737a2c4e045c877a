package validate

import (
	"errors"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"
)

// constraint is what the messages of Envoy's API say of a field that breaks one of their constraints.
type constraint interface {
	Field() string
	Reason() string
	Cause() error
}

// constraints holds a message, but not what is packed in it, to the constraints of Envoy's API.
func (v *visit) constraints(m proto.Message) {
	x, ok := m.(interface {
		Validate() error
		ValidateAll() error
	})
	if !ok || x.Validate() == nil {
		return
	}
	v.broken("", x.ValidateAll())
}

// broken notes the constraints at the end of each chain of causes.
func (v *visit) broken(path string, err error) {
	if list, ok := err.(interface{ AllErrors() []error }); ok {
		for _, e := range list.AllErrors() {
			v.broken(path, e)
		}
		return
	}
	var c constraint
	if !errors.As(err, &c) {
		v.bad(path, "", "%v", err)
		return
	}
	if path != "" {
		path += "."
	}
	path += fieldName(c.Field())
	if c.Cause() != nil {
		v.broken(path, c.Cause())
		return
	}
	v.bad(path, "", "%s", c.Reason())
}

var wordEnd = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// fieldName turns the name of a Go field, as VirtualHosts[0], into that of the message.
func fieldName(s string) string {
	name, index, found := strings.Cut(s, "[")
	name = strings.ToLower(wordEnd.ReplaceAllString(name, "${1}_${2}"))
	if found {
		name += "[" + index
	}
	return name
}
