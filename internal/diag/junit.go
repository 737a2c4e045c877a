package diag

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// JUnitReport is the root of a JUnit file; the counts of it and of its suites are made by Add.
type JUnitReport struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`

	at map[string]int // the place of a suite by its name
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []JUnitCase `xml:"testcase"`
}

// JUnitCase is one case; it has passed if it has no Failure. What is empty is left out.
type JUnitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr"`
	File      string        `xml:"file,attr,omitempty"`
	Line      int           `xml:"line,attr,omitempty"`
	Failure   *JUnitFailure `xml:"failure,omitempty"`
	SystemOut string        `xml:"system-out,omitempty"`
}

// JUnitFailure says why a case has failed.
type JUnitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// Add appends a case to the suite of that name, and counts it.
func (r *JUnitReport) Add(suite string, c JUnitCase) {
	at, known := r.at[suite]
	if !known {
		if r.at == nil {
			r.at = map[string]int{}
		}
		at = len(r.Suites)
		r.at[suite] = at
		r.Suites = append(r.Suites, junitSuite{Name: suite})
	}
	s := &r.Suites[at]
	if c.Failure != nil {
		s.Failures++
		r.Failures++
	}
	s.Cases = append(s.Cases, c)
	s.Tests++
	r.Tests++
}

// Write writes the report as XML.
func (r *JUnitReport) Write(w io.Writer) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(r); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// printJUnit writes a suite per file and a case per finding. Errors fail; warnings and notes pass and speak in their
// output, because a consumer that gates on failures would otherwise gate on them. A clean run is one passed case.
func printJUnit(w io.Writer, l List) error {
	out := &JUnitReport{Name: "meshc"}
	for _, d := range l {
		file, line := place(d)
		c := JUnitCase{Name: strings.TrimSpace(d.Code + " " + subject(d)), ClassName: file, File: file, Line: line}
		text := fmt.Sprintf("%s:%d: %s: %s [%s]", file, line, d.Severity, sentence(d), d.Code)
		if d.Severity == Error {
			c.Failure = &JUnitFailure{Message: d.Message, Type: d.Code, Text: text}
		} else {
			c.SystemOut = text
		}
		out.Add(file, c)
	}
	if len(l) == 0 {
		out.Add("meshc", JUnitCase{Name: "check", ClassName: "meshc"})
	}
	return out.Write(w)
}
