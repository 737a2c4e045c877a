package report

// Doubts are what could not be decided, each said once of all that it is about.
type Doubts struct {
	All []Undecided
	at  map[doubt]int // the place of each in All
	has map[doubtOf]bool
}

// doubt is what is said.
type doubt struct {
	host, resource, why string
	port                uint16
}

// doubtOf is a caller, a server or a resource that it is said of.
type doubtOf struct {
	at     int
	server bool
	who    Ref
	name   string
}

// Add takes what is undecided to what is said already.
func (d *Doubts) Add(u Undecided) {
	if d.at == nil {
		d.at, d.has = map[doubt]int{}, map[doubtOf]bool{}
	}
	key := doubt{u.Host, u.Resource, u.Why, u.Port}
	at, ok := d.at[key]
	if !ok {
		at = len(d.All)
		d.at[key] = at
		one := u
		one.From, one.Servers, one.Resources = nil, nil, nil
		d.All = append(d.All, one)
	}
	o := &d.All[at]
	for _, r := range u.From {
		if d.fresh(doubtOf{at: at, who: r}) {
			o.From = append(o.From, r)
		}
	}
	for _, r := range u.Servers {
		if d.fresh(doubtOf{at: at, who: r, server: true}) {
			o.Servers = append(o.Servers, r)
		}
	}
	for _, name := range u.Resources {
		if d.fresh(doubtOf{at: at, name: name}) {
			o.Resources = append(o.Resources, name)
		}
	}
}

// fresh tells whether something is said of one for the first time.
func (d *Doubts) fresh(x doubtOf) bool {
	if d.has[x] {
		return false
	}
	d.has[x] = true
	return true
}
