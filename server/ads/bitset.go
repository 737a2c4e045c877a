package ads

import "math/bits"

// Bitset is a set of small numbers.
type Bitset []uint64

// Has tells whether a number is in the set.
func (b Bitset) Has(i int32) bool {
	w := int(i >> 6)
	return w < len(b) && b[w]&(1<<(uint(i)&63)) != 0
}

// Set adds a number.
func (b *Bitset) Set(i int32) {
	w := int(i >> 6)
	for len(*b) <= w {
		*b = append(*b, 0)
	}
	(*b)[w] |= 1 << (uint(i) & 63)
}

// Clear takes a number out.
func (b Bitset) Clear(i int32) {
	if w := int(i >> 6); w < len(b) {
		b[w] &^= 1 << (uint(i) & 63)
	}
}

// Or adds all of o.
func (b *Bitset) Or(o Bitset) {
	for len(*b) < len(o) {
		*b = append(*b, 0)
	}
	for i, w := range o {
		(*b)[i] |= w
	}
}

// And is what is in both.
func (b Bitset) And(o Bitset) Bitset {
	out := make(Bitset, min(len(b), len(o)))
	for i := range out {
		out[i] = b[i] & o[i]
	}
	return out
}

// Without calls f for what is in b and not in o.
func (b Bitset) Without(o Bitset, f func(int32)) {
	for i, w := range b {
		if i < len(o) {
			w &^= o[i]
		}
		for ; w != 0; w &= w - 1 {
			f(int32(i<<6 + bits.TrailingZeros64(w)))
		}
	}
}

// Equal tells whether two sets are the same.
func (b Bitset) Equal(o Bitset) bool {
	if len(b) > len(o) {
		b, o = o, b
	}
	for i, w := range o {
		if i < len(b) && w != b[i] || i >= len(b) && w != 0 {
			return false
		}
	}
	return true
}

// Each calls f for all of b.
func (b Bitset) Each(f func(int32)) { b.Without(nil, f) }
