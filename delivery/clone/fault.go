package clone

// Refused is a remote whose answer may not be used.
type Refused struct {
	Remote string
	Why    string
}

// Error renders "REMOTE why".
func (e *Refused) Error() string { return e.Remote + " " + e.Why }

// Away is a remote that could not be asked.
type Away struct {
	Remote string
	Why    string
}

// Error renders "REMOTE cannot be fetched: why".
func (e *Away) Error() string { return e.Remote + " cannot be fetched: " + e.Why }

// Unreached tells that nothing is known of what the remote has.
func (e *Away) Unreached() bool { return true }
