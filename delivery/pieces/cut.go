package pieces

import "math/bits"

// smallest is the size of a text that is not cut.
const smallest = 1 << 12

// cut ends a piece where the sum over the bytes before has as many leading zeros as make pieces of the typical size, a power
// of two, and a piece is between a quarter of it and four times it.
func cut(text []byte, typical int) (out [][]byte) {
	sums := gear()
	zeros := bits.Len(uint(typical)) - 1
	var sum uint64
	begin := 0
	for i, c := range text {
		sum = sum<<1 + sums[c]
		size := i + 1 - begin
		if size >= 4*typical || size >= typical/4 && bits.LeadingZeros64(sum) >= zeros {
			out = append(out, text[begin:i+1])
			begin = i + 1
		}
	}
	if begin < len(text) {
		out = append(out, text[begin:])
	}
	return out
}

// gear gives each byte a number whose bits look like chance, the same for ever: pieces of bundles depend on it.
func gear() (table [256]uint64) {
	x := uint64(0x6d65736863) // any number would do
	for i := range table {
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		table[i] = z ^ z>>31
	}
	return table
}
