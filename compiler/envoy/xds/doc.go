// Package xds holds what every part of the lowering makes its resources of: the resource with the places in the input behind
// it, groups of resources, filter chains, the order of filters, references to configuration and secrets that come from the
// server, and the providers of MeshConfig.
//
// A resource is a message of Envoy under a type and a name. Its origins say for each part of it which field of which object
// it comes from; they travel beside the message and never inside, so that a line that moves changes no bytes. Messages are
// packed with deterministic bytes, and lists whose order means nothing to Envoy are sorted, so that what is equal compares
// equal. It knows the mesh and no step of the lowering.
package xds
