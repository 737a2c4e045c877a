package sets

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Set is what a dimension of requests may be held against: Strings, Addresses, Ports or Names. One dimension has sets of one
// type.
type Set interface {
	fmt.Stringer
	key() string
	holds(Value) bool
	not() Set
	both(Set) Set
	either(Set) Set
}

// Value is what one request has in one dimension.
type Value struct {
	Text   string   // a string, a name, or an address or port as it is written
	Absent bool     // it is not there
	More   []string // further values, where a request can have many
}

// String shows the value.
func (v Value) String() string {
	if v.Absent {
		return "absent"
	}
	return strings.Join(append([]string{v.Text}, v.More...), ", ")
}

// Assignment is a request: a value by the name of its dimension.
type Assignment map[string]Value

// Dimension says what values a part of requests can have.
type Dimension struct {
	Name     string
	Universe Set      // the values there are, without absence; nil: every string that can be printed, every address, port or name
	Optional bool     // it may be absent, which a witness prefers
	Many     bool     // a request can have many values or none: "in a set" is that one of them is, so "not in it" that none is
	Prefer   []string // values that a witness should have, the best first, if they are in the universe

	parts map[string]*partition // see Shared
}

// Shared is the dimension for several spaces: what one finds out about it all know. They are not safe for concurrent use together.
func (d Dimension) Shared() Dimension {
	d.parts = map[string]*partition{}
	return d
}

// Printable has the strings that proxies take as a value of a header and people can read: of characters that are printed, with no
// spaces at their ends. The empty string is one.
func Printable() Strings { return mustRegex(`([!-~\x80-\xff]([ -~\x80-\xff]*[!-~\x80-\xff])?)?`) }

// mustRegex is for expressions of this package.
func mustRegex(re string) Strings {
	s, err := Regex(re)
	if err != nil {
		panic("sets: " + err.Error())
	}
	return s
}

// Path is the dimension "path": of a request, without query and fragment.
func Path(prefer ...string) Dimension {
	return Dimension{Name: "path", Universe: mustRegex(`/[!"$->@-~\x80-\xff]*`), Prefer: append(prefer, "/")}
}

// Method is the dimension "method".
func Method(prefer ...string) Dimension {
	return Dimension{Name: "method", Universe: mustRegex("[!#$%&'*+.^_`|~0-9A-Za-z-]+"),
		Prefer: append(prefer, "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")}
}

// Authority is the dimension "authority": the host that a request names, with its port if it has one.
func Authority(prefer ...string) Dimension {
	return Dimension{Name: "authority", Universe: mustRegex(`[0-9A-Za-z_.-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?`), Prefer: prefer}
}

// ServerName is the dimension "sni": the name that a client asks for in TLS, or absence.
func ServerName(prefer ...string) Dimension {
	return Dimension{Name: "sni", Universe: mustRegex(`[0-9a-z_-][0-9a-z_.-]*`), Optional: true, Prefer: prefer}
}

// Header is the dimension "header:NAME".
func Header(name string, prefer ...string) Dimension {
	return Dimension{Name: "header:" + name, Optional: true, Prefer: append(prefer, "1")}
}

// Query is the dimension "query:NAME": a parameter as it is written in the URL.
func QueryParameter(name string, prefer ...string) Dimension {
	return Dimension{Name: "query:" + name, Universe: mustRegex(`[!"$%'-~\x80-\xff]*`), Optional: true, Prefer: append(prefer, "1")}
}

// Source and others are names of dimensions of addresses, ports and identities that lists of proxies ask for.
const (
	Source    = "source"    // address of the peer
	Remote    = "remote"    // address of the client, as far as the proxy trusts what it is told
	Port      = "port"      // that the connection was made to
	Principal = "principal" // identity in the certificate of the peer, or absence
)

// Space holds dimensions, and what was found out about conditions on them, so that questions alike are answered once. It is not safe for
// concurrent use.
type Space struct {
	dims  map[string]Dimension
	m     *machine
	parts map[string]*partition
}

// NewSpace makes a space. Dimensions that it is not told of have any value and are not optional; absence in their sets counts for
// nothing.
func NewSpace(dims ...Dimension) *Space {
	s := &Space{dims: map[string]Dimension{}, m: newMachine(0), parts: map[string]*partition{}}
	for _, d := range dims {
		s.dims[d.Name] = d
	}
	return s
}

// Left is what the last question has left of its budget.
func (s *Space) Left() int { return max(s.m.budget, 0) }

func (s Strings) key() string {
	if s.absent {
		return "absent or " + s.expr().key
	}
	return s.expr().key
}

func (s Strings) holds(v Value) bool {
	if v.Absent {
		return s.absent
	}
	return s.Has(v.Text) || slices.ContainsFunc(v.More, s.Has)
}
func (s Strings) not() Set         { return s.Not() }
func (s Strings) both(t Set) Set   { return s.And(t.(Strings)) }
func (s Strings) either(t Set) Set { return s.Or(t.(Strings)) }

func (s Addresses) holds(v Value) bool {
	a, err := netip.ParseAddr(v.Text)
	return err == nil && s.Has(a)
}
func (s Addresses) not() Set         { return s.Not() }
func (s Addresses) both(t Set) Set   { return s.And(t.(Addresses)) }
func (s Addresses) either(t Set) Set { return s.Or(t.(Addresses)) }

func (s Ports) holds(v Value) bool {
	p, err := strconv.ParseUint(v.Text, 10, 16)
	return err == nil && s.Has(uint16(p))
}
func (s Ports) not() Set         { return s.Not() }
func (s Ports) both(t Set) Set   { return s.And(t.(Ports)) }
func (s Ports) either(t Set) Set { return s.Or(t.(Ports)) }

func (s Names) holds(v Value) bool {
	return !v.Absent && (s.Has(v.Text) || slices.ContainsFunc(v.More, s.Has))
}
func (s Names) not() Set         { return s.Not() }
func (s Names) both(t Set) Set   { return s.And(t.(Names)) }
func (s Names) either(t Set) Set { return s.Or(t.(Names)) }
