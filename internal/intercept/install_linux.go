package intercept

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Install gives the kernel the rules of NFT by netlink, in one transaction, for the network namespace of the calling thread. It
// needs CAP_NET_ADMIN and no program, so that an image with nothing but meshc can install them.
func (s Settings) Install(six bool) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	f, family := ipv4, nftables.TableFamilyIPv4
	if six {
		f, family = ipv6, nftables.TableFamilyIPv6
	}
	table := &nftables.Table{Family: family, Name: Table}
	// A table that is not there cannot be deleted, so it is added first.
	c.AddTable(table)
	c.DelTable(table)
	c.AddTable(table)
	for _, name := range slices.Concat(chains, []string{prerouting, output}) {
		chain := c.AddChain(kernelChain(table, name))
		for _, r := range s.of(f, name) {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r.expressions(f)})
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("the kernel does not take the rules: %w", err)
	}
	return nil
}

func kernelChain(table *nftables.Table, name string) *nftables.Chain {
	chain := &nftables.Chain{Name: name, Table: table}
	accept := nftables.ChainPolicyAccept
	switch name {
	case prerouting:
		chain.Type, chain.Hooknum, chain.Priority, chain.Policy = nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, &accept
	case output:
		chain.Type, chain.Hooknum, chain.Priority, chain.Policy = nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, &accept
	}
	return chain
}

// Offsets in the headers of packets.
const (
	fromIPv4, toIPv4 = 12, 16 // bytes from the begin of an IPv4 header
	fromIPv6, toIPv6 = 8, 24  // of an IPv6 header
	toPort           = 2      // of a TCP or UDP header
)

// register is the one that all comparisons go through.
const register = 1

// expressions are those of the line that nft writes for the rule.
func (r rule) expressions(f family) []expr.Any {
	var out []expr.Any
	from, to, proto := uint32(fromIPv4), uint32(toIPv4), byte(unix.IPPROTO_TCP)
	if f.six {
		from, to = fromIPv6, toIPv6
	}
	if r.udp {
		proto = unix.IPPROTO_UDP
	}
	if r.in != "" {
		out = append(out, meta(expr.MetaKeyIIFNAME), compare(expr.CmpOpEq, kernelName(r.in)))
	}
	if r.out != "" {
		out = append(out, meta(expr.MetaKeyOIFNAME), compare(expr.CmpOpEq, kernelName(r.out)))
	}
	if r.from != "" {
		out = append(out, address(from, expr.CmpOpEq, r.from)...)
	}
	if r.to != "" {
		out = append(out, address(to, expr.CmpOpEq, r.to)...)
	}
	if r.notTo != "" {
		out = append(out, address(to, expr.CmpOpNeq, r.notTo)...)
	}
	out = append(out, meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpEq, []byte{proto}))
	if r.port != 0 {
		out = append(out, destinationPort(), compare(expr.CmpOpEq, binaryutil.BigEndian.PutUint16(r.port)))
	}
	uid := binaryutil.NativeEndian.PutUint32(ProxyUID)
	if r.proxy {
		out = append(out, meta(expr.MetaKeySKUID), compare(expr.CmpOpEq, uid))
	}
	if r.notProxy {
		out = append(out, meta(expr.MetaKeySKUID), compare(expr.CmpOpNeq, uid))
	}
	return append(out, r.then.expressions()...)
}

func (v verdict) expressions() []expr.Any {
	switch {
	case v.jump != "":
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: v.jump}}
	case v.port != 0:
		return []expr.Any{
			&expr.Immediate{Register: register, Data: binaryutil.BigEndian.PutUint16(v.port)},
			&expr.Redir{RegisterProtoMin: register, Flags: unix.NF_NAT_RANGE_PROTO_SPECIFIED},
		}
	}
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: register} }

func compare(op expr.CmpOp, with []byte) expr.Any {
	return &expr.Cmp{Op: op, Register: register, Data: with}
}

func destinationPort() expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: toPort, Len: 2}
}

// address compares an address of the header with a prefix.
func address(offset uint32, op expr.CmpOp, prefix string) []expr.Any {
	p := netip.MustParsePrefix(prefix).Masked() // of Settings, which hold prefixes
	want := p.Addr().AsSlice()
	out := []expr.Any{&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(want))}}
	if !p.IsSingleIP() {
		mask := make([]byte, len(want))
		for i := range p.Bits() {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		out = append(out, &expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(len(want)), Mask: mask, Xor: make([]byte, len(want))})
	}
	return append(out, compare(op, want))
}

// kernelName is a name as the kernel keeps it: filled up with zeros.
func kernelName(name string) []byte {
	out := make([]byte, unix.IFNAMSIZ)
	copy(out, name)
	return out
}
