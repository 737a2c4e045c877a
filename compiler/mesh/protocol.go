package mesh

import "strings"

// Protocol is the application protocol of a port.
type Protocol string

// The protocols Istio knows; Auto is sniffed, Unsupported was written but means nothing and is sniffed as well.
const (
	Auto        Protocol = ""
	HTTP        Protocol = "HTTP"
	HTTP2       Protocol = "HTTP2"
	HTTPProxy   Protocol = "HTTP_PROXY"
	GRPC        Protocol = "GRPC"
	GRPCWeb     Protocol = "GRPC-Web"
	HTTPS       Protocol = "HTTPS"
	TLS         Protocol = "TLS"
	TCP         Protocol = "TCP"
	UDP         Protocol = "UDP"
	Mongo       Protocol = "Mongo"
	Redis       Protocol = "Redis"
	MySQL       Protocol = "MySQL"
	HBONE       Protocol = "HBONE"
	DoubleHBONE Protocol = "DoubleHBONE"
	Unsupported Protocol = "UnsupportedProtocol"
)

// ParseProtocol reads a protocol name in any case, as Gateway, Sidecar and ServiceEntry ports write it.
func ParseProtocol(s string) Protocol {
	switch strings.ToUpper(s) {
	case "":
		return Auto
	case "TCP":
		return TCP
	case "UDP":
		return UDP
	case "GRPC":
		return GRPC
	case "GRPC-WEB":
		return GRPCWeb
	case "HTTP":
		return HTTP
	case "HTTP_PROXY":
		return HTTPProxy
	case "HTTP2":
		return HTTP2
	case "HTTPS":
		return HTTPS
	case "TLS":
		return TLS
	case "MONGO":
		return Mongo
	case "REDIS":
		return Redis
	case "MYSQL":
		return MySQL
	}
	return Unsupported
}

// IsHTTP tells whether requests on the port are parsed.
func (p Protocol) IsHTTP() bool {
	switch p {
	case HTTP, HTTP2, HTTPProxy, GRPC, GRPCWeb:
		return true
	default:
		return false
	}
}

// IsHTTP2 tells whether the upstream speaks HTTP/2 by declaration.
func (p Protocol) IsHTTP2() bool { return p == HTTP2 || p == GRPC || p == GRPCWeb }

// IsTCP tells whether the port is opaque: TCP itself and all that runs in it unparsed, TLS included.
func (p Protocol) IsTCP() bool {
	switch p {
	case TCP, HTTPS, TLS, Mongo, Redis, MySQL:
		return true
	default:
		return false
	}
}

// IsTLS tells whether the bytes on the port are TLS by declaration.
func (p Protocol) IsTLS() bool { return p == HTTPS || p == TLS }

// Terminated is what runs inside the TLS of a port, once it has ended.
func (p Protocol) Terminated() Protocol {
	switch p {
	case HTTPS:
		return HTTP
	case TLS:
		return TCP
	default:
		return p
	}
}

// IsAuto tells whether the protocol is sniffed.
func (p Protocol) IsAuto() bool { return p == Auto || p == Unsupported }
