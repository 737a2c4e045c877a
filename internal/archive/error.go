package archive

import "fmt"

// Problem tells apart what can be wrong with an archive.
type Problem int

// What can be wrong.
const (
	NotGzip  Problem = iota // not compressed, though it should be
	Damaged                 // cannot be read to its end, or goes on behind it
	TooLarge                // beyond a bound
	BadName                 // a name that leads out of the archive, or a monstrous one
	BadKind                 // neither a file, a directory nor a link
	Twice                   // a name that is there twice
)

// Error is why an archive is refused.
type Error struct {
	Problem Problem
	Name    string // of the entry, where it is about one that has a sound name
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

func refuse(p Problem, name, format string, args ...any) *Error {
	return &Error{Problem: p, Name: name, Message: fmt.Sprintf(format, args...)}
}
