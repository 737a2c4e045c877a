package bundle

import (
	"errors"
	"fmt"

	"github.com/meshc/meshc/internal/diag"
)

// Codes of what can be wrong with a bundle or with what is to be sealed.
const (
	CodeMissing     = "MESHC1600"
	CodeAltered     = "MESHC1601"
	CodeFormat      = "MESHC1602"
	CodeMalformed   = "MESHC1603"
	CodeTooLarge    = "MESHC1604"
	CodeForeign     = "MESHC1605"
	CodePrivateKey  = "MESHC1606"
	CodeConflict    = "MESHC1607"
	CodeNoClass     = "MESHC1608"
	CodeInvalidNode = "MESHC1609"
	CodeCredential  = "MESHC1610"
)

// Error is a refusal: what is wrong, in which file of the bundle, and what to do.
type Error struct {
	Code    string
	Bundle  string // path of the bundle, "" when it was never on disk
	File    string // file inside the bundle, "" when it is not about one
	Message string
	Help    string
	Origins []Origin // places in the source, where known
}

// Error renders "BUNDLE: FILE: message; help".
func (e *Error) Error() string {
	s := e.Message
	if e.File != "" {
		s = e.File + ": " + s
	}
	if e.Bundle != "" {
		s = e.Bundle + ": " + s
	}
	if e.Help != "" {
		s += "; " + e.Help
	}
	return s
}

// Diagnostic is the finding that printers show.
func (e *Error) Diagnostic() diag.Diagnostic {
	d := diag.Diagnostic{Code: e.Code, Severity: diag.Error, Message: e.Message, Help: e.Help, Pos: diag.Pos{File: e.Bundle}}
	switch {
	case len(e.Origins) > 0:
		o := e.Origins[0]
		d.Pos = diag.Pos{File: o.File, Line: o.Line, Column: o.Column}
		d.Object = diag.Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
		d.Field = o.Field
	case e.File != "" && e.Bundle != "":
		d.Pos.File += "/" + e.File
	case e.File != "":
		d.Pos.File = e.File
	}
	return d
}

func refuse(code, file, help, format string, args ...any) *Error {
	return &Error{Code: code, File: file, Help: help, Message: fmt.Sprintf(format, args...)}
}

// in adds the path of the bundle to a refusal.
func in(path string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Bundle == "" {
		e.Bundle = path
	}
	return err
}
