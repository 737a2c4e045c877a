// Package route lowers VirtualServices and the defaults of services to routes.
//
// A listener asks for a route configuration by a key: its name, what the listener may see, and the port or the one service
// that it is for. For each key hosts are planned first. VirtualServices go before services, and of several VirtualServices for
// one host the one whose host is the most specific, then the oldest. Then domains are resolved in one pass, since Envoy refuses
// a domain that two virtual hosts have: full names first, the short forms that a resolver in the namespace of the caller would
// complete last. Each virtual host becomes a resource of its own, and the configuration names none of them.
//
// The routes of a VirtualService depend on little of what is around it: on the port, on which of its matches hold for the
// caller, on where its destinations lead in the view of the caller. These are asked first and are the key under which the
// routes are kept, so that scopes with the same answers share them (Inputs). A block is lowered field by field, a file for
// each field: its matches, then redirect, direct response or weighted destinations, then what is done to requests on the way.
package route
