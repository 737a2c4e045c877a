package secret

// Unfinished returns where something begins that may go on as a secret behind the end of the text, or the length of the
// text if nothing does.
func Unfinished(s string) int {
	if !suspect(s) {
		return len(s)
	}
	t := unescape(s)
	open := func(r run) bool {
		_, ok := gap(t.plain[r.end:])
		return ok
	}
	if begins := marks(beginMark, t.plain); len(begins) > 0 && open(begins[len(begins)-1]) {
		return t.place(begins[len(begins)-1].start)
	}
	at := len(s)
	for _, g := range t.groups(0) {
		if n := len(g.runs); n > 0 && open(g.runs[n-1]) && !endMark.MatchString(g.runs[n-1].of(t.plain)) {
			at = min(at, t.place(g.runs[0].start))
		}
	}
	return at
}
