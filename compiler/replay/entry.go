package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/names"
)

// entry is what a line of an access log says.
type entry struct {
	Method, Path, Protocol string
	Code                   int
	Flags, Details         string
	ForwardedFor           string
	UserAgent              string
	Authority              string
	Cluster                string // upstream
	Local, Remote          netip.AddrPort
	ServerName             string
	Pod                    string // that wrote the line, where a prefix says so
}

// http tells a request from a connection.
func (e *entry) http() bool { return e.Method != "" }

// server tells lines of the proxy of a server from those of clients and gateways.
func (e *entry) server() bool {
	return names.IsInbound(e.Cluster)
}

// Reasons why a line is not read.
var (
	errFormat = errors.New("neither Istio's default text format nor JSON")
	errCut    = errors.New("the line is cut")
	errFields = errors.New("JSON without the fields of Istio's default access log")
)

// parseLine reads a line, which kubectl or a container runtime may have put something before.
func parseLine(line []byte) (entry, error) {
	line = bytes.TrimSpace(line)
	pod := ""
	if rest, ok := bytes.CutPrefix(line, []byte("[pod/")); ok {
		name, behind, closed := bytes.Cut(rest, []byte("] "))
		if !closed {
			return entry{}, errCut
		}
		p, _, _ := bytes.Cut(name, []byte("/"))
		pod, line = string(p), behind
	}
	if i := bytes.Index(line, []byte(" stdout F ")); 0 < i && i < 64 { // as containerd and CRI-O write
		line = line[i+len(" stdout F "):]
	}
	var e entry
	var err error
	switch {
	case len(line) == 0:
		return e, errFormat
	case line[0] == '{':
		e, err = parseJSON(line)
	case line[0] == '[':
		e, err = parseText(string(line))
	default:
		err = errFormat
	}
	e.Pod = pod
	return e, err
}

// value is a field of a JSON log: a string, a number, or null where the text has "-".
type value string

// UnmarshalJSON takes text and numbers.
func (v *value) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		*v = ""
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*v = value(dash(s))
	default:
		*v = value(b)
	}
	return nil
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// fields are those of Istio's JSON format that are looked at. Log is of Docker, which wraps lines.
type fields struct {
	Method       value   `json:"method"`
	Path         value   `json:"path"`
	Protocol     value   `json:"protocol"`
	Code         value   `json:"response_code"`
	Flags        value   `json:"response_flags"`
	Details      value   `json:"response_code_details"`
	ForwardedFor value   `json:"x_forwarded_for"`
	UserAgent    value   `json:"user_agent"`
	Authority    value   `json:"authority"`
	Cluster      value   `json:"upstream_cluster"`
	Local        value   `json:"downstream_local_address"`
	Remote       value   `json:"downstream_remote_address"`
	ServerName   value   `json:"requested_server_name"`
	Log          *string `json:"log"`
}

func parseJSON(line []byte) (entry, error) {
	var f fields
	if err := json.Unmarshal(line, &f); err != nil {
		if line[len(line)-1] != '}' {
			return entry{}, errCut
		}
		return entry{}, errFields
	}
	if f.Log != nil {
		if inner := strings.TrimSpace(*f.Log); strings.HasPrefix(inner, "[") {
			return parseText(inner)
		} else if strings.HasPrefix(inner, "{") && !strings.Contains(inner, `"log"`) {
			return parseJSON([]byte(inner))
		}
		return entry{}, errFormat
	}
	if f.Code == "" || f.Local == "" && f.Remote == "" && f.Authority == "" {
		return entry{}, errFields
	}
	e := entry{Method: string(f.Method), Path: string(f.Path), Protocol: string(f.Protocol), Flags: string(f.Flags), Details: string(f.Details), ForwardedFor: string(f.ForwardedFor),
		UserAgent: string(f.UserAgent), Authority: string(f.Authority), Cluster: string(f.Cluster), ServerName: string(f.ServerName), Local: address(string(f.Local)), Remote: address(string(f.Remote))}
	code, err := strconv.ParseFloat(string(f.Code), 64)
	e.Code = int(code)
	if err != nil {
		return e, errFields
	}
	return e, nil
}

// address reads IP:PORT; what is none, as an internal address, is the zero value.
func address(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Positions of fields behind the status in Istio's text format.
const (
	textFlags = iota
	textDetails
	textTermination
	textTransportFailure
	textReceived
	textSent
	textDuration
	textServiceTime
	textForwardedFor
	textUserAgent
	textRequestID
	textAuthority
	textUpstreamHost
	textCluster
	textUpstreamLocal
	textLocal
	textRemote
	textServerName
	textFields // a route name may follow
)

// parseText reads [TIME] "METHOD PATH PROTOCOL" STATUS and further fields, some in quotes.
func parseText(line string) (entry, error) {
	time, rest, ok := strings.Cut(line, "] \"")
	if !ok {
		if len(time) < 40 {
			return entry{}, errCut
		}
		return entry{}, errFormat
	}
	request, rest, ok := cutRequest(rest)
	if !ok {
		return entry{}, errCut
	}
	parts := strings.Split(request, " ")
	if len(parts) < 3 {
		return entry{}, errFormat
	}
	e := entry{Method: dash(parts[0]), Path: dash(strings.Join(parts[1:len(parts)-1], " ")), Protocol: dash(parts[len(parts)-1])}
	status, rest, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(status)
	if err != nil {
		return e, errFormat
	}
	f := splitFields(rest)
	if len(f) < textFields {
		return e, errCut
	}
	e.Code, e.Flags, e.Details, e.ForwardedFor, e.UserAgent = code, f[textFlags], f[textDetails], f[textForwardedFor], f[textUserAgent]
	e.Authority, e.Cluster, e.ServerName = f[textAuthority], f[textCluster], f[textServerName]
	e.Local, e.Remote = address(f[textLocal]), address(f[textRemote])
	if !e.Local.IsValid() && !e.Remote.IsValid() {
		return e, errFormat // as many fields, and others
	}
	return e, nil
}

// cutRequest ends the request at the quote that a status follows, since a path may have quotes of its own.
func cutRequest(s string) (request, rest string, ok bool) {
	for from := 0; ; {
		i := strings.Index(s[from:], `" `)
		if i < 0 {
			return "", "", false
		}
		i += from
		status, _, _ := strings.Cut(s[i+2:], " ")
		if _, err := strconv.Atoi(status); err == nil && len(status) <= 3 {
			return s[:i], s[i+2:], true
		}
		from = i + 2
	}
}

// splitFields splits at spaces outside of quotes. A quote that is not closed ends the list: the line is cut.
func splitFields(s string) []string {
	var out []string
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		var f string
		if s[0] == '"' {
			i := strings.Index(s[1:], `" `)
			if i < 0 {
				return out
			}
			f, s = s[1:1+i], s[i+2:]
		} else {
			f, s, _ = strings.Cut(s, " ")
		}
		out = append(out, dash(f))
	}
	return out
}
