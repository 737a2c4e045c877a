package sets

import (
	"container/heap"
	"slices"
)

// byteCost is what a byte costs an example. Letters, digits, / and - are almost equal, so of two words of these the shorter is
// cheaper, and of two of one length that with more letters.
func byteCost(b byte) int {
	switch {
	case 'a' <= b && b <= 'z':
		return 1000
	case '0' <= b && b <= '9':
		return 1001
	case b == '/':
		return 1002
	case b == '-':
		return 1003
	case b == '.', b == '_', b == ':', b == '=': // which names and hosts have
		return 1060
	case 'A' <= b && b <= 'Z':
		return 1100
	case ' ' < b && b < 0x7f:
		return 2500
	case b == ' ':
		return 3500
	case b >= 0x80:
		return 100_000
	default:
		return 1_000_000
	}
}

// cheapest is the byte of a run that an example should have.
func cheapest(first, last byte) byte {
	best := first
	for b := int(first) + 1; b <= int(last); b++ {
		if byteCost(byte(b)) < byteCost(best) {
			best = byte(b)
		}
	}
	return best
}

// item is a place of a search, in the queue.
type item struct {
	cost, seq int
	at        int
}

type queue []item

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(item)) }
func (q queue) Less(i, j int) bool {
	if q[i].cost != q[j].cost {
		return q[i].cost < q[j].cost
	}
	return q[i].seq < q[j].seq
}

func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// trail remembers how each place of a search was reached at the least cost so far.
type trail struct {
	from []int // the place before, -1 for the first
	by   []byte
	cost []int
	done []bool
	q    queue
	seq  int
}

// reach notes a way to a place; places are numbered in the order in which they are first reached.
func (t *trail) reach(at, from int, by byte, cost int) {
	switch {
	case at == len(t.from):
		t.from, t.by, t.cost, t.done = append(t.from, from), append(t.by, by), append(t.cost, cost), append(t.done, false)
	case cost < t.cost[at]:
		t.from[at], t.by[at], t.cost[at] = from, by, cost
	default:
		return
	}
	t.seq++
	heap.Push(&t.q, item{cost, t.seq, at})
}

// next takes the cheapest place that was not taken yet.
func (t *trail) next() (at int, ok bool) {
	for len(t.q) > 0 {
		x := heap.Pop(&t.q).(item)
		if !t.done[x.at] {
			t.done[x.at] = true
			return x.at, true
		}
	}
	return 0, false
}

// word is the text that leads to a place.
func (t *trail) word(at int) string {
	var b []byte
	for ; t.from[at] >= 0; at = t.from[at] {
		b = append(b, t.by[at])
	}
	slices.Reverse(b)
	return string(b)
}

// cheapestWord finds the cheapest string that a state accepts.
func (m *machine) cheapestWord(from id) (word string, ok bool, err error) {
	if from == noneID {
		return "", false, nil
	}
	var t trail
	places := map[id]int{from: 0}
	states := []id{from}
	t.reach(0, -1, 0, 0)
	for {
		at, ok := t.next()
		if !ok {
			return "", false, nil
		}
		if m.states[states[at]].accepts {
			return t.word(at), true, nil
		}
		edges, err := m.edges(states[at])
		if err != nil {
			return "", false, err
		}
		first := byte(0)
		for _, e := range edges {
			if b := cheapest(first, e.last); e.to != noneID {
				to, known := places[e.to]
				if !known {
					to = len(states)
					places[e.to] = to
					states = append(states, e.to)
				}
				t.reach(to, at, b, t.cost[at]+byteCost(b))
			}
			first = e.last + 1
		}
	}
}

// Word returns the cheapest string of the set: short, of letters and digits where possible. ok is false if there is none.
func (s Strings) Word(budget int) (word string, ok bool, err error) {
	m := newMachine(orDefault(budget))
	return m.cheapestWord(m.of(s.expr()))
}

func orDefault(budget int) int {
	if budget <= 0 {
		return DefaultBudget
	}
	return budget
}

// Same tells whether two sets have the same members, and if not, gives a string that is in one of them only; absence is compared
// by HasAbsent.
func (s Strings) Same(t Strings, budget int) (same bool, word string, err error) {
	if s.Equal(t) {
		return true, "", nil
	}
	a, b := s.Present(), t.Present()
	word, differs, err := Union(a.Minus(b), b.Minus(a)).Word(budget)
	return err == nil && !differs && s.absent == t.absent, word, err
}
