package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// names in the folder.
const (
	bundleName   = "bundle"
	reportName   = "findings.json"
	observedName = "observed-%d.json" // of each cluster
)

// Broken is a run of the compiler that ended without a bundle.
type Broken struct {
	Source string
	Errors int      // findings that are errors; 0: the compiler could not run
	First  []string // some of them, or what the compiler said
}

// Error renders "SOURCE does not compile: why".
func (e *Broken) Error() string {
	if e.Errors == 0 {
		return e.Source + " cannot be compiled: " + strings.Join(e.First, " ")
	}
	return fmt.Sprintf("%s does not compile: %d errors, such as %s", e.Source, e.Errors, strings.Join(e.First, "; "))
}

// shownErrors is how many errors the text of a Broken has; the log has more.
const shownErrors = 3

// compile runs the compiler. What it says of the sources goes to the log, each finding once.
func (s *Source) compile(ctx context.Context, l look, seen [][]byte) (*bundle.Bundle, error) {
	if err := s.Clean(); err != nil {
		return nil, err
	}
	out, report := filepath.Join(s.o.Folder, bundleName), filepath.Join(s.o.Folder, reportName)
	args := append(append([]string{}, s.o.Compile[1:]...), "-o", out, "--report", "json="+report)
	observed, err := s.hand(seen)
	if err != nil {
		return nil, err
	}
	args = append(args, observed...)
	inTime, cancel := context.WithTimeout(ctx, limit.CompileTime)
	defer cancel()
	c := exec.CommandContext(inTime, s.o.Compile[0], append(append(args, "--"), l.sources...)...)
	c.Args[0] = "meshc" // whatever the file is called by now
	said := &capped{}
	c.Stdout, c.Stderr = said, said
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 2 * time.Second
	err = c.Run()
	found, unread := readReport(report)
	s.tell(found)
	if err == nil {
		return bundle.Read(out)
	}
	var exit *exec.ExitError
	broken := &Broken{Source: l.name()}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case inTime.Err() != nil:
		broken.First = []string{fmt.Sprintf("it took longer than %v", limit.CompileTime)}
	case !errors.As(err, &exit) || exit.ExitCode() != 1 || unread != nil:
		broken.First = []string{strings.TrimSpace(err.Error() + " " + said.last())}
	default:
		for _, f := range found {
			if f.Severity != "error" {
				continue
			}
			if broken.Errors++; broken.Errors <= shownErrors {
				broken.First = append(broken.First, f.String())
			}
		}
	}
	return nil, broken
}

// finding is what counts of a finding in a report of the compiler.
type finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Message  string `json:"message"`
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s %s", f.File, f.Line, f.Code, f.Message)
}

func readReport(path string) ([]finding, error) {
	text, err := regular.ReadFile(path, limit.ReportBytes)
	if err != nil {
		return nil, err
	}
	var r struct {
		Diagnostics []finding `json:"diagnostics"`
	}
	return r.Diagnostics, json.Unmarshal(text, &r)
}

// loggedFindings is how many findings of a run the log has.
const loggedFindings = 50

// tell logs errors and warnings, and how many there are beyond those.
func (s *Source) tell(found []finding) {
	n := 0
	for _, f := range found {
		if f.Severity != "error" && f.Severity != "warning" {
			continue
		}
		if n++; n > loggedFindings {
			continue
		}
		log := s.o.Log.Warn
		if f.Severity == "error" {
			log = s.o.Log.Error
		}
		log("finding", "code", f.Code, "file", f.File, "line", f.Line, "message", f.Message)
	}
	if n > loggedFindings {
		s.o.Log.Warn("more findings", "count", n-loggedFindings)
	}
}

// capped keeps the end of what a program prints.
type capped struct{ text []byte }

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	c.text = append(c.text, p...)
	if over := len(c.text) - limit.CompileText; over > 0 {
		c.text = append(c.text[:0], c.text[over:]...)
	}
	return len(p), nil
}

// last is the last line that was printed.
func (c *capped) last() string {
	text := bytes.TrimSpace(c.text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}
