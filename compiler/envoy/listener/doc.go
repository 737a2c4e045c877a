// Package listener lowers to listeners what proxies may call and what they accept.
//
// Outbound, each port of each service is an addition to the listener of its address and port: the service's own address for
// TCP, the wildcard for HTTP, the bind of a Sidecar listener. Additions are merged one by one by the table of Istio, which says
// for what is there (HTTP, TCP, or sniffed) and what is new whether the new chain is added, turns a typed listener into a sniffed
// one, or is dropped with a finding. HTTP chains ask for routes by a key, which is returned; TCP and TLS chains hold the routes
// of VirtualServices themselves, one chain for each set of server names and destinations. virtualOutbound takes every
// intercepted connection and hands it to the listener of its destination, or to the outbound traffic policy.
//
// Inbound, virtualInbound has a group of chains for each port of the workload. The mode of mutual TLS and the protocol of the
// port say which: plain text, TLS that mesh clients mark by ALPN, TLS of the application's own. Then come chains for ports that
// no service declares.
//
// A gateway has a listener for each port and address of its servers, with one chain for plain HTTP, one for each server that
// ends TLS, and one for each tls route of servers that do not. Connection managers are the same everywhere but for a few
// settings by their place (hcm.go), and the order of filters is written down once (package xds).
package listener
