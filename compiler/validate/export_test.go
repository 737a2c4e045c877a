package validate

import "google.golang.org/protobuf/reflect/protoreflect"

// Refers tells whether the references in a field are looked at, by itself or with the message that it is in.
func (c *Checker) Refers(f protoreflect.FieldDescriptor) bool {
	return c.named[f.FullName()] != "" || c.asked[f.Parent().FullName()] != nil || f.Parent().FullName() == "envoy.config.cluster.v3.Cluster.EdsClusterConfig"
}
