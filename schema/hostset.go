package schema

import "strings"

// longestHost is beyond what any host name has: a longer one is refused by itself, and is compared as a whole only.
const longestHost = 256

// hostSet answers which host of a list covers a name first, without going through the list: a wildcard covers what ends as
// it does, so the endings of a name are looked up.
type hostSet struct {
	first   map[string]int // place of each host in lower case
	lengths map[int]bool   // of the wildcards
}

func newHostSet(hosts []string) *hostSet {
	s := &hostSet{first: map[string]int{}, lengths: map[int]bool{}}
	for i, h := range hosts {
		h = strings.ToLower(h)
		if _, known := s.first[h]; known {
			continue
		}
		s.first[h] = i
		if strings.HasPrefix(h, "*") {
			s.lengths[len(h)-1] = true
		}
	}
	return s
}

// each calls f for the place of each host that stands for every name that h stands for, h itself among them.
func (s *hostSet) each(h string, f func(i int)) {
	h = strings.ToLower(h)
	if i, ok := s.first[h]; ok {
		f(i)
	}
	rest := strings.TrimPrefix(h, "*")
	for n := 0; n <= min(len(rest), longestHost); n++ {
		if !s.lengths[n] {
			continue
		}
		if wildcard := "*" + rest[len(rest)-n:]; wildcard != h {
			if i, ok := s.first[wildcard]; ok {
				f(i)
			}
		}
	}
}

// covers tells whether any host of the list stands for every name that h stands for.
func (s *hostSet) covers(h string) (found bool) {
	s.each(h, func(int) { found = true })
	return found
}

// overlapping tells of each host that overlaps with hosts before it one of those.
func overlapping(hosts []string) map[int]int {
	s, out := newHostSet(hosts), map[int]int{}
	for i, h := range hosts {
		s.each(h, func(j int) {
			first, later := min(i, j), max(i, j)
			if first == later {
				return
			}
			if have, ok := out[later]; !ok || first < have {
				out[later] = first
			}
		})
	}
	return out
}
