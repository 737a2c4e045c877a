package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// misdirected refuses requests by a name that this server has not. A page in a browser can have its own name lead to an
// address that only the browser reaches (DNS rebinding), and then reads what is answered there; the name stays in the
// request. An address cannot be led anywhere, so probes and scrapers, which mostly go by address, are answered.
func (srv *Server) misdirected(next http.Handler) http.Handler {
	names := append([]string{"localhost"}, srv.opts.AdminNames...)
	if host, _, err := net.SplitHostPort(srv.opts.AdminAddress); err == nil && host != "" {
		names = append(names, host)
	}
	for i := range names {
		names[i] = hostName(names[i])
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostName(r.Host)
		if _, err := netip.ParseAddr(host); err != nil && host != "" && !slices.Contains(names, host) {
			reply(w, http.StatusMisdirectedRequest, fmt.Sprintf("this is not %.100q: ask by an address or as localhost, or start the server with --admin-name and this name\n", host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostName is the host of a Host header, without port and brackets.
func hostName(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
